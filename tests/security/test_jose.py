"""What tokens and proofs are made of is read in one form."""

from __future__ import annotations

import base64
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.security.jose import TokenError, parts_of, public_key, read_bytes, read_instant, read_object

TEXT = "e30.e30.AAAA"


def test_a_signed_text_has_three_parts_and_so_many_characters() -> None:
    assert parts_of(TEXT, most=len(TEXT)) == TEXT.split(".")
    for other in ("", "e30", "e30.e30", "e30.e30.A.A", ".e30.AAAA", "e30..AAAA", "e30.e30.", "e30.e30.AA=", f"{TEXT}A"):
        with pytest.raises(TokenError, match="malformed"):
            parts_of(other, most=len(TEXT))


@given(st.binary(max_size=100))
def test_bytes_are_read_from_their_one_form(data: bytes) -> None:
    text = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    assert read_bytes(text) == data


@pytest.mark.parametrize("text", ["A", "AAAAA", "AB", "AA==", "AA=", "A A", "AA\nA", "+/+/", "\u00e9AA"])
def test_bytes_in_another_form_are_refused(text: str) -> None:
    with pytest.raises(TokenError, match="malformed"):
        read_bytes(text)


@pytest.mark.parametrize("said", [b"", b"[]", b"7", b"{", b"\xff", b'{"a": 1, "a": 1}', b'{"a": NaN}'])
def test_a_part_that_is_no_object_is_refused(said: bytes) -> None:
    with pytest.raises(TokenError, match="malformed"):
        read_object(base64.urlsafe_b64encode(said).rstrip(b"=").decode())


@pytest.mark.parametrize(("said", "wanted"), [(0, 0), (1.9, 1), (99_999_999_999, 99_999_999_999)])
def test_a_time_is_read_in_whole_seconds(said: float, wanted: int) -> None:
    assert read_instant({"exp": said}, "exp") == wanted


@pytest.mark.parametrize("said", [None, True, False, "1", [1], -1, -0.5, 1e11, math.nan, math.inf])
def test_a_time_that_is_none_is_refused(said: Any) -> None:
    for claims in ({"exp": said}, {"iat": 1}):
        with pytest.raises(TokenError, match="malformed"):
            read_instant(claims, "exp")


BIG, POINT = ("_" * 342 + "w", "Bw" * 21 + "c")  # 2048 bits; 32 bytes that are no point of the curve


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"kty": "oct", "k": "AAAA"},
        {"kty": ["RSA"]},
        {"kty": "RSA"},
        {"kty": "RSA", "n": 7, "e": "AQAB"},
        {"kty": "RSA", "n": "A", "e": "AQAB"},
        {"kty": "RSA", "n": BIG},
        {"kty": "RSA", "n": BIG, "e": ""},
        {"kty": "EC", "crv": "P-256"},
        {"kty": "EC", "crv": "P-256", "x": POINT, "y": POINT},
        {"kty": "EC", "crv": "P-256", "x": "\ud800", "y": POINT},
        {"kty": "EC", "crv": "P-384", "x": POINT, "y": POINT},
        {"kty": "OKP", "crv": "Ed25519", "x": "AA"},
        {"kty": "OKP", "crv": "X25519", "x": POINT},
    ],
)
def test_what_is_no_key_to_check_signatures_with_is_none(said: dict[str, Any]) -> None:
    assert public_key(said) is None
