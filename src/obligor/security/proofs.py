"""Proofs that whoever shows a token holds the key it is bound to (DPoP, RFC 9449): one for each request.

A proof brings its key with it, and says for which token, which method, which address and when it was made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from obligor.security.jose import (
    TokenError,
    check_signature,
    parts_of,
    public_key,
    read_bytes,
    read_instant,
    read_object,
)

MOST_BYTES: Final = 4096
_TYPE: Final = "dpop+jwt"
_READ: Final = {"typ", "alg", "jwk"}
_MOST_CHARACTERS: Final = 256
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proof:
    """What a proof says."""

    token_sha256: bytes
    id: str
    method: str
    url: str
    made_at: int
    """In seconds since 1970."""


def read_proof(text: str, *, key_sha256: bytes) -> Proof:
    """Read a proof that the key of a thumbprint signed; no other key is tried, which may be made to take long.

    Raises
    ------
    TokenError
        Where it proves nothing.
    """
    head, body, _ = parts_of(text, most=MOST_BYTES)
    header, said = read_object(head), read_object(body)
    key = header.get("jwk")
    if header.keys() != _READ or header["typ"] != _TYPE or not isinstance(key, dict) or "d" in key:
        raise TokenError("malformed")
    known = public_key(key)
    if known is None or header["alg"] != known[0]:
        raise TokenError("malformed")
    if read_bytes(known[1].thumbprint()) != key_sha256:
        raise TokenError("wrong")
    check_signature(text, *known)
    return Proof(
        read_bytes(_text(said, "ath")),
        _text(said, "jti"),
        _text(said, "htm"),
        _text(said, "htu"),
        read_instant(said, "iat"),
    )


def is_same_address(one: str, other: str) -> bool:
    """Tell whether two addresses are one, but for queries and fragments (RFC 9449, 4.3; RFC 3986, 6.2)."""
    try:
        return _address(one) == _address(other)
    except ValueError:
        return False


def _address(url: str) -> tuple[str, str | None, int | None, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme), parts.path or "/"


def _text(said: Any, name: str) -> str:
    found = said.get(name)
    if not isinstance(found, str) or not 0 < len(found) <= _MOST_CHARACTERS or not found.isprintable():
        raise TokenError("malformed")
    return found
