"""The headers that this door reads, each at most once, and those that every answer has."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from obligor.core.errors import TooLargeError
from obligor.serving.http.problems import CLOSE, KEY_MISSING, MALFORMED, MEDIA_TYPE, HttpProblemError

if TYPE_CHECKING:
    from collections.abc import Iterable

    Headers = list[tuple[bytes, bytes]]

MOST_HEADERS = 64
MOST_HEADER_BYTES = 16 << 10
HEADERS_WANTED = f"wanted at most {MOST_HEADERS} headers with {MOST_HEADER_BYTES} bytes"
CACHING = b"cache-control"
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (CACHING, b"no-store"))
POLICY = b"content-security-policy"
PAGE = (*_ALWAYS, (b"referrer-policy", b"no-referrer"), (b"cross-origin-resource-policy", b"same-origin"))
NO_PAGE = (*_ALWAYS, (POLICY, b"default-src 'none'; frame-ancestors 'none'"))
LASTING = tuple(it for it in NO_PAGE if it[0] != CACHING)
"""Of an answer that says itself how long it may be kept."""
_JSON = b"application/json"
_IS_JSON = re.compile(rb'application/json[ \t]*(?:;[ \t]*charset="?utf-8"?[ \t]*)?', re.IGNORECASE)
_MOST_DIGITS = 19
_KEY = re.compile(rb"[\x21-\x7e]{1,255}")
_PLACES = {
    b"authorization": 0,
    b"idempotency-key": 1,
    b"content-type": 2,
    b"content-encoding": 3,
    b"content-length": 4,
    b"dpop": 5,
}


def are_too_large(headers: Headers) -> bool:
    """Tell whether a request has more headers, or longer ones, than it may."""
    return len(headers) > MOST_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MOST_HEADER_BYTES


class Head(msgspec.Struct, frozen=True):
    """What a request says of itself; none where it says nothing."""

    authorization: bytes | None
    idempotency_key: bytes | None
    content_type: bytes | None
    content_encoding: bytes | None
    content_length: bytes | None
    dpop: bytes | None
    """The proof that a token's key is held (RFC 9449)."""

    @property
    def key(self) -> str:
        """The idempotency key.

        Raises
        ------
        HttpProblemError
            Where there is none, or none that can be one.
        """
        if self.idempotency_key is None:
            raise HttpProblemError(
                KEY_MISSING, "Idempotency-Key: is absent; wanted a text of your own for this request"
            )
        if not _KEY.fullmatch(self.idempotency_key):
            wanted = "wanted 1 to 255 printable ASCII characters without blanks"
            raise HttpProblemError(MALFORMED, f"Idempotency-Key: {wanted}")
        return self.idempotency_key.decode("ascii")

    def check_body(self, *, most: int) -> None:
        """Refuse a body that is not plain JSON, or that says itself that it is too large, before any of it is read."""
        said, length = self.content_type, self.content_length
        if said is None or not (said == _JSON or _IS_JSON.fullmatch(said)):
            raise HttpProblemError(MEDIA_TYPE, "Content-Type: wanted application/json", CLOSE)
        if self.content_encoding is not None and self.content_encoding.lower() != b"identity":
            raise HttpProblemError(MEDIA_TYPE, "Content-Encoding: wanted none", CLOSE)
        if length is None:
            return
        if not length.isdigit() or len(length) > _MOST_DIGITS:
            raise HttpProblemError(MALFORMED, "Content-Length: wanted a whole number", CLOSE)
        if int(length) > most:
            raise TooLargeError(f"wanted a body of at most {most} bytes")


def read_head(headers: Iterable[tuple[bytes, bytes]]) -> Head:
    """Read the headers of a request.

    Raises
    ------
    HttpProblemError
        Where one of them stands twice: whoever is in between may have read the other.
    """
    found: list[bytes | None] = [None, None, None, None, None, None]
    for name, value in headers:
        place = _PLACES.get(name)
        if place is not None:
            if found[place] is not None:
                raise HttpProblemError(MALFORMED, f"{name.decode()}: stands twice", CLOSE)
            found[place] = value.strip()
    return Head(*found)
