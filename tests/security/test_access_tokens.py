"""Tokens of the deployment's own read back in one form, and are of one purpose."""

from __future__ import annotations

import base64
import json

import pytest
from tests.lending import KEY

from obligor.security.access_tokens import LIFETIME_S, PURPOSE, SignedIn, read_access_token, write_access_token

NOW = 1_795_000_000
GOOD = write_access_token("ada", key=KEY, at=NOW)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signed(said: bytes) -> str:
    data = (said, KEY.sign_statement(said, purpose=PURPOSE))
    return "obu_" + ".".join(base64.urlsafe_b64encode(it).rstrip(b"=").decode() for it in data)


@pytest.mark.parametrize("user_id", ["a", "ab", "abc", "a" * 190])
def test_a_token_says_who_signed_in_and_until_when_it_counts(user_id: str) -> None:
    text = write_access_token(user_id, key=KEY, at=NOW)
    assert read_access_token(text, key=KEY.verifier) == SignedIn(user_id, NOW, NOW + LIFETIME_S)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "obu_",
        GOOD.replace("obu_", "obl_"),
        GOOD + "A",
        GOOD[:-1],
        GOOD.partition(".")[0],
        f"obu_AAAAA.{'A' * 86}",  # no bytes are written in five letters
        f"{GOOD[:-1]}{ALPHABET[ALPHABET.index(GOOD[-1]) ^ 1]}",  # another text of the same bytes
        signed(b"[]"),
        signed(json.dumps({"exp": NOW, "iat": NOW, "sub": "a" * 400}).encode()),
    ],
)
def test_another_text_is_no_token(text: str) -> None:
    assert read_access_token(GOOD, key=KEY.verifier) is not None
    assert read_access_token(text, key=KEY.verifier) is None
