"""Signatures that another library accepts, and that vouch for nothing else."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from tests.serving.los import verified

from obligor.security.webhooks import SIGNATURES, Signature, new_secret, signature_of, signed_headers, verifier_text

SECRETS = st.binary(min_size=24, max_size=64)


@given(st.lists(SECRETS, min_size=1, max_size=2, unique=True), st.text(), st.uuids())
def test_another_library_verifies_what_was_signed_with_any_live_secret(
    secrets: list[bytes], text: str, it: object
) -> None:
    body = text.encode("utf-8", "replace")
    headers = signed_headers(body, message_id=f"msg_{it}", at=datetime.now(UTC), secrets=secrets)
    for secret in secrets:
        Webhook(verifier_text(secret)).verify(body, headers, json_parse=False)
    told = headers["webhook-signature"].split(" ")
    assert len(told) == len(secrets)
    assert all(re.fullmatch(r"v1,[A-Za-z0-9+/]{43}=", it) for it in told)


@given(SECRETS, SECRETS, st.sampled_from(["body", "id", "time", "secret"]))
def test_whoever_changes_anything_has_no_signature_for_it(secret: bytes, other: bytes, what: str) -> None:
    now = datetime.now(UTC)
    body = b'{"outcome":"decline"}'
    headers = signed_headers(body, message_id="msg_1", at=now, secrets=[other if what == "secret" else secret])
    if what == "secret" and secret == other:
        return
    if what == "body":
        body = b'{"outcome":"approve"}'
    if what == "id":
        headers["webhook-id"] = "msg_2"
    if what == "time":
        headers["webhook-timestamp"] = str(int(now.timestamp()) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(verifier_text(secret)).verify(body, headers)


@given(st.binary(min_size=32, max_size=32), st.binary(), st.sampled_from(["", "body", "id", "time", "key"]))
def test_a_public_key_verifies_what_its_private_key_signed_and_nothing_that_was_changed(
    seed: bytes, body: bytes, what: str
) -> None:
    secret, now = new_secret("ed25519", lambda _: seed), datetime.now(UTC)
    headers = signed_headers(body, message_id="msg_1", at=now, secrets=[secret])
    public = verifier_text(secret)
    assert re.fullmatch(r"whpk_[A-Za-z0-9+/]{43}=", public)
    assert re.fullmatch(r"v1a,[A-Za-z0-9+/]{86}==", headers["webhook-signature"])
    if what == "body":
        body += b" "
    if what == "id":
        headers["webhook-id"] = "msg_2"
    if what == "time":
        headers["webhook-timestamp"] = str(int(now.timestamp()) + 1)
    if what == "key":
        public = verifier_text(new_secret("ed25519", lambda _: bytes([seed[0] ^ 1]) + seed[1:]))
    assert verified(body, headers, public) == (what == "")


@pytest.mark.parametrize("signature", SIGNATURES)
def test_a_secret_tells_how_it_signs_and_a_private_key_is_never_written(signature: Signature) -> None:
    secret = new_secret(signature, bytes)
    assert signature_of(secret) == signature
    assert (base64.b64encode(bytes(32)).decode() in verifier_text(secret)) == (signature == "hmac")


def test_while_a_secret_gives_way_to_a_key_a_receiver_verifies_by_either() -> None:
    old, new = (new_secret(it, lambda count: bytes(range(count))) for it in SIGNATURES)
    headers = signed_headers(b"{}", message_id="msg_1", at=datetime.now(UTC), secrets=[new, old])
    Webhook(verifier_text(old)).verify(b"{}", headers)
    assert verified(b"{}", headers, verifier_text(new))


def test_a_message_six_minutes_old_is_refused_however_well_it_is_signed() -> None:
    secret = bytes(range(32))
    old = datetime.now(UTC) - timedelta(minutes=6)
    headers = signed_headers(b"{}", message_id="msg_1", at=old, secrets=[secret])
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(verifier_text(secret)).verify(b"{}", headers)


def test_the_example_of_the_specification() -> None:
    """``msg_p5jXN8AQM9LWM0D4loKWxJek`` of the specification's own test vectors."""
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = signed_headers(
        b'{"test": 2432232314}', message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, secrets=[secret]
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
