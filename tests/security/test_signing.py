"""The deployment's key signs checkpoints and releases, one kind never passing for the other, and is nobody else's to read."""

from __future__ import annotations

import base64
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from tests.core.test_checkpoints import GO_KEY, GO_LINE, GO_TEXT

from obligor.core.checkpoints import Checkpoint, Note, parse_note, parse_verifier_key
from obligor.core.errors import AuditError, InvalidInputError
from obligor.security.signing import (
    SigningKey,
    open_signing_key,
    read_signing_key,
    read_verifier,
    verify_note,
    verify_statement,
)

if TYPE_CHECKING:
    from pathlib import Path

GO_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"  # noqa: S105  printed in the documentation of Go


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return open_signing_key(tmp_path / "keys" / "audit-ed25519.pem")


def test_a_note_is_signed_as_the_go_authors_sign_theirs() -> None:
    private = Ed25519PrivateKey.from_private_bytes(base64.b64decode(GO_SECRET)[1:])
    signed = SigningKey("PeterNeumann", private).sign_note(GO_TEXT)
    assert signed.encode().decode() == f"{GO_TEXT}\n{GO_LINE}"
    assert verify_note(signed, parse_verifier_key(GO_KEY))


def test_a_checkpoint_verifies_until_a_letter_changes(key: SigningKey) -> None:
    signed = key.sign_note(Checkpoint(key.name, 12, bytes(32)).text())
    assert verify_note(parse_note(signed.encode()), key.verifier)
    assert not verify_note(Note(signed.text.replace("12", "13"), signed.signatures), key.verifier)
    assert not verify_note(Note(signed.text, ()), key.verifier)


def test_another_key_of_the_same_name_does_not_verify(key: SigningKey, tmp_path: Path) -> None:
    other = open_signing_key(tmp_path / "other.pem", name=key.name)
    signed = key.sign_note("text\n")
    assert not verify_note(signed, other.verifier)
    forged = Note("text\n", tuple(type(s)(s.name, other.verifier.key_id, s.value) for s in signed.signatures))
    assert not verify_note(forged, other.verifier)


def test_signatures_of_others_do_not_count_and_every_one_of_the_key_does(key: SigningKey, tmp_path: Path) -> None:
    (own,) = key.sign_note("text\n").signatures
    (other,) = open_signing_key(tmp_path / "other.pem").sign_note("text\n").signatures
    bent = replace(own, value=bytes(64))
    for also in (other, replace(bent, name="another"), replace(bent, key_id=b"more")):  # as of a witness
        assert verify_note(Note("text\n", (also, own)), key.verifier)
        assert not verify_note(Note("text\n", (also,)), key.verifier)
    for signatures in ((own, bent), (bent, own)):
        assert not verify_note(Note("text\n", signatures), key.verifier)


def test_who_may_not_sign_verifies_by_the_file_of_the_key(key: SigningKey, tmp_path: Path) -> None:
    verifier = read_verifier(tmp_path / "keys" / "audit-ed25519.pem")
    signature = key.sign_statement(b"said", purpose="release")
    assert verifier.key == key.verifier
    assert verifier.signed_note(key.sign_note("text\n"))
    assert not verifier.signed_note(Note("text\n", ()))
    assert verifier.signed_statement(b"said", signature, purpose="release")
    assert not verifier.signed_statement(b"said", signature, purpose="rollback")
    with pytest.raises(InvalidInputError, match="there is no such signing key"):
        read_verifier(tmp_path / "none.pem")


def test_what_is_made_of_the_key_keeps_its_form() -> None:
    private = Ed25519PrivateKey.from_private_bytes(bytes(32))
    key = SigningKey("log", private)
    private.public_key().verify(
        key.sign_statement(b"said", purpose="release"), b"\x00obligor statement\x00release\x00said"
    )
    assert key.derived("links").hex() == "fac3d866bb4773c1d4a59bd1a1097e1831c6feb87bbd06e9b403914c11885a81"


def test_a_signature_of_one_purpose_is_none_of_another(key: SigningKey) -> None:
    statement = Checkpoint(key.name, 12, bytes(32)).text().encode()
    signature = key.sign_statement(statement, purpose="release")
    assert verify_statement(statement, signature, purpose="release", key=key.verifier)
    assert not verify_statement(statement, signature, purpose="rollback", key=key.verifier)
    assert not verify_statement(statement + b" ", signature, purpose="release", key=key.verifier)
    note = key.sign_note(statement.decode())
    assert not verify_statement(statement, note.signatures[0].value, purpose="release", key=key.verifier)
    with pytest.raises(AuditError, match="control characters"):
        key.sign_note("\x00obligor statement\x00release\x00\n")


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys" / "audit-ed25519.pem"
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: open_signing_key(path).verifier.text(), range(16)))
    assert len(keys) == 1
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert path.parent.stat().st_mode & 0o777 == 0o700
    name = read_signing_key(path).name
    assert name == f"obligor-{sha256(read_signing_key(path).verifier.public).hexdigest()[:16]}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o660])
def test_a_key_that_others_may_read_is_refused(key: SigningKey, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "keys" / "audit-ed25519.pem"
    path.chmod(mode)
    with pytest.raises(InvalidInputError, match=f"others may read this key \\(mode 0{mode:o}\\)"):
        open_signing_key(path)


def test_a_file_that_is_no_key_of_this_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    curve = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = Ed25519PrivateKey.generate().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
    )
    for data in (b"", b"not a key", curve, locked):
        path.write_bytes(data)
        os.chmod(path, 0o600)  # noqa: PTH101  as an operator would
        with pytest.raises(InvalidInputError, match="is not an Ed25519 key"):
            open_signing_key(path)
    with pytest.raises(InvalidInputError, match="there is no such signing key"):
        read_signing_key(tmp_path / "none.pem")


def test_the_private_key_is_never_shown(key: SigningKey) -> None:
    assert "private" not in repr(key).lower()
