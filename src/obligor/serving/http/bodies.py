"""The body of a request, read with a limit while it comes in. How long it may take is counted on the wire (``wire``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from obligor.core.errors import ApplicationError, TooLargeError
from obligor.serving.http.problems import SLOW, HttpProblemError

if TYPE_CHECKING:
    from starlette.types import Receive

MOST_BYTES = 1 << 20
MOST_BULK_BYTES = 4 << 20
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


async def read_body(receive: Receive, *, most: int) -> bytes:
    """Read a body, up to the first byte too many; its length need not be known before.

    Raises
    ------
    TooLargeError
        Where there is more.
    HttpProblemError
        Where the client left, or was too slow: nobody reads it, but it is counted.
    ApplicationError
        Where it is in UTF-16 or UTF-32, which a lenient reader would read as JSON too.
    """
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpProblemError(SLOW, "the connection was closed before the request was whole")
        part, more = message.get("body", b""), message.get("more_body", False)
        size += len(part)
        if size > most:
            raise TooLargeError(f"wanted a body of at most {most} bytes")
        parts.append(part)
    return utf8_json(parts[0] if len(parts) == 1 else b"".join(parts))


def utf8_json(body: bytes) -> bytes:
    """Give a body back that is not in another encoding of Unicode.

    Raises
    ------
    ApplicationError
        Where it is in UTF-16 or UTF-32, which a lenient reader would read as JSON too.
    """
    if 0 in body[:4] or body.startswith(_MARKS):
        raise ApplicationError("body: wanted JSON in UTF-8, without a byte order mark (RFC 8259, 8.1)")
    return body
