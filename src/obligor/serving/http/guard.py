"""What stands in front of every route: how many requests are open, how large headers are, and what every answer carries.

A request that finds the service full is told so at once, which costs little, rather than late: those that were let in keep
their pace. Health is asked beside that, so that a full service is not taken for a dead one.
"""

from __future__ import annotations

import logging
import traceback
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING

from obligor.core.errors import LimitedError, ObligorError, UnavailableError
from obligor.serving.http.bodies import ClientGoneError
from obligor.serving.http.problems import CLOSE, HEADERS, INTERNAL, HttpProblemError, answer_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from obligor.serving.http.problems import Answer
    from obligor.serving.meter import Meter

MOST_OPEN = 256
MOST_HEADERS = 64
MOST_HEADER_BYTES = 16 << 10
_HEADERS_WANTED = f"wanted at most {MOST_HEADERS} headers with {MOST_HEADER_BYTES} bytes"
_ALWAYS = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_NO_CONTENT = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
ROUTE = "obligor.route"
"""Where a route that the framework does not see leaves its name in the scope."""
_log = logging.getLogger("obligor.http")


class Seats:
    """How many requests are open, in all and of each client; one client gets at most half of them."""

    def __init__(self, most: int = MOST_OPEN) -> None:
        self.most = most
        self.most_of_one = (most + 1) // 2
        self.open = 0
        self.draining = False
        """Whether the service is about to stop: it says that it is not ready, and keeps no connection."""
        self._of: dict[str, int] = {}

    @contextmanager
    def of(self, client_id: str) -> Iterator[None]:
        """Take a seat of a client.

        Raises
        ------
        LimitedError
            Where the client holds half of all.
        """
        taken = self._of.get(client_id, 0)
        if taken >= self.most_of_one:
            raise LimitedError(f"wanted at most {self.most_of_one} requests of one client at a time")
        self._of[client_id] = taken + 1
        try:
            yield
        finally:
            if self._of[client_id] == 1:
                del self._of[client_id]
            else:
                self._of[client_id] -= 1


class Guard:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, seats: Seats, meter: Meter) -> None:
        self._app = app
        self._seats = seats
        self._meter = meter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or tell it why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        seats, out, started = self._seats, Outgoing(send, closing=self._seats.draining), perf_counter()
        self._meter.entered()
        try:
            await self._seat(scope, receive, out, seats)
        finally:
            self._meter.left(route_of(scope), out.status, perf_counter() - started)

    async def _seat(self, scope: Scope, receive: Receive, out: Outgoing, seats: Seats) -> None:
        if _are_too_large(scope["headers"]):
            await out.answer(answer_of(HttpProblemError(HEADERS, _HEADERS_WANTED, CLOSE)))
        elif scope["path"].startswith("/health/"):
            await self._run(scope, receive, out)
        elif seats.open >= seats.most:
            self._meter.refused("shed")
            await out.answer(answer_of(UnavailableError("too many requests are open; nothing was recorded")))
        else:
            seats.open += 1
            try:
                await self._run(scope, receive, out)
            finally:
                seats.open -= 1

    async def _run(self, scope: Scope, receive: Receive, out: Outgoing) -> None:
        try:
            await self._app(scope, receive, out.send)
        except ClientGoneError:
            return
        except (ObligorError, HttpProblemError) as error:
            await out.answer(answer_of(error))
        except Exception as error:  # noqa: BLE001  the last that can tell the client
            _log.error("%s at %s", type(error).__name__, _places(error))
            if not out.status:
                await out.answer(answer_of(HttpProblemError(INTERNAL, "what failed is in the log of the service")))


class Outgoing:
    """Sends an answer with the headers that every answer has."""

    __slots__ = ("_closing", "_send", "status")

    def __init__(self, send: Send, *, closing: bool) -> None:
        self._send = send
        self._closing = closing
        self.status = 0
        """Of the answer, once it has begun."""

    async def send(self, message: Message) -> None:
        """Send a message of ASGI."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = [*message["headers"], *_ALWAYS]
            if all(name != b"content-security-policy" for name, _ in headers):
                headers.append(_NO_CONTENT)
            if self._closing:
                headers += CLOSE
            message["headers"] = headers
        await self._send(message)

    async def answer(self, answer: Answer) -> None:
        """Send a whole answer."""
        await send_answer(self.send, answer)


def route_of(scope: Scope) -> str:
    """Name the route that a request found; what was asked for is never a name."""
    route, method = scope.get("route"), scope["method"]
    if route is not None and method in route.methods:
        return f"{method} {route.path_format}"
    return str(scope.get(ROUTE, "other"))


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a whole answer over ASGI."""
    headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _are_too_large(headers: list[tuple[bytes, bytes]]) -> bool:
    return len(headers) > MOST_HEADERS or sum([len(name) + len(value) for name, value in headers]) > MOST_HEADER_BYTES


def _places(error: BaseException) -> str:
    """Name where something failed; not the message of the failure, which may hold a person's value."""
    places = traceback.extract_tb(error.__traceback__)[-5:]
    return " < ".join(f"{it.name}:{it.lineno}" for it in reversed(places))
