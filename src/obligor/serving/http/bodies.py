"""The body of a request, read with a limit while it comes in: so many bytes, in so many seconds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from obligor.core.errors import ApplicationError, TooLargeError
from obligor.serving.http.problems import CLOSE, SLOW, HttpProblemError

if TYPE_CHECKING:
    from starlette.types import Receive

MOST_BYTES = 1 << 20
MOST_BULK_BYTES = 16 << 20
BODY_SECONDS = 20.0
_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")


class ClientGoneError(Exception):
    """The client closed the connection before its request was whole; nobody waits for an answer."""


async def read_body(receive: Receive, *, most: int, seconds: float = BODY_SECONDS) -> bytes:
    """Read a body, up to the first byte too many or the first second too late; its length need not be known before.

    Raises
    ------
    TooLargeError
        Where there is more.
    HttpProblemError
        Where it came too slowly.
    ClientGoneError
        Where the client left.
    ApplicationError
        Where it is in UTF-16 or UTF-32, which a lenient reader would read as JSON too.
    """
    try:
        async with asyncio.timeout(seconds):
            parts, size, more = [], 0, True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                part, more = message.get("body", b""), message.get("more_body", False)
                size += len(part)
                if size > most:
                    raise TooLargeError(f"wanted a body of at most {most} bytes")
                parts.append(part)
    except TimeoutError:
        raise HttpProblemError(SLOW, f"the body was not whole within {seconds:g} seconds", CLOSE) from None
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    if 0 in body[:4] or body.startswith(_MARKS):
        raise ApplicationError("body: wanted JSON in UTF-8, without a byte order mark (RFC 8259, 8.1)")
    return body
