"""What tokens and proofs are made of: JSON Web Signatures, taken apart by the narrowest rules that serve.

The parts are what base64url gives in one way only, JSON says nothing twice, and a key checks by its one algorithm, so that no
secret is made of a public key (RFC 8725).
"""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any, Final

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from obligor.core.errors import InvalidInputError
from obligor.core.strict_json import read_strict_json

if TYPE_CHECKING:
    from collections.abc import Mapping

LEEWAY_S: Final = 60
_LEAST_RSA_BITS: Final = 2048
_PARTS: Final = 3
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_-]+")
_PUBLIC: Final = ("kty", "n", "e", "crv", "x", "y")

Key = RSAKey | ECKey | OKPKey


class TokenError(Exception):
    """A token that opens nothing; why, in a word that is counted and never answered."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def parts_of(text: str, *, most: int) -> list[str]:
    """Take a signed text of at most so many characters apart: header, claims, signature."""
    segments = text.split(".") if len(text) <= most else []
    if len(segments) != _PARTS or not all(map(_SEGMENT.fullmatch, segments)):
        raise TokenError("malformed")
    return segments


def check_signature(text: str, algorithm: str, key: Key) -> None:
    """Refuse a text that its key did not sign.

    By the algorithm itself, and not by the library's reader of whole tokens, which takes more than is taken here.
    """
    said, _, signature = text.rpartition(".")
    if not JWSRegistry.algorithms[algorithm].verify(said.encode(), read_bytes(signature), key):
        raise TokenError("wrong")


def read_object(segment: str) -> Mapping[str, Any]:
    """Read a part: a JSON object that says nothing twice."""
    try:
        said = read_strict_json(read_bytes(segment), what="token", error=InvalidInputError)
    except InvalidInputError:
        raise TokenError("malformed") from None
    if not isinstance(said, dict):
        raise TokenError("malformed")
    return said


def read_bytes(segment: str) -> bytes:
    """Read what base64url gives, without padding."""
    try:
        data = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except ValueError:
        raise TokenError("malformed") from None
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != segment:  # another text of the same bytes
        raise TokenError("malformed")
    return data


def read_instant(said: Mapping[str, Any], name: str) -> int:
    """Read a claim that is a time, in seconds since 1970."""
    found = said.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found < 1e11:  # noqa: PLR2004  year 5138
        raise TokenError("malformed")
    return int(found)


def public_key(said: Mapping[str, Any]) -> tuple[str, Key] | None:
    """Give the algorithm and the key of a JSON Web Key; none where it is not one to check signatures with, or is too small."""
    public = {name: it for name, it in said.items() if name in _PUBLIC}
    try:
        match said.get("kty"), said.get("crv"):
            case "RSA", _:
                if int.from_bytes(read_bytes(public["n"])).bit_length() < _LEAST_RSA_BITS:
                    return None
                return "RS256", RSAKey.import_key(public)
            case "EC", "P-256":
                return "ES256", ECKey.import_key(public)
            case "OKP", "Ed25519":
                return "EdDSA", OKPKey.import_key(public)
            case _:
                return None
    except (JoseError, TokenError, ValueError, KeyError, TypeError, AttributeError):
        return None
