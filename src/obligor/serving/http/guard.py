"""What stands in front of every route: how many requests are open, how large headers are, and what every answer carries.

A request that finds the service full is told so at once, which costs little, rather than late: those that were let in keep
their pace. Health is asked beside that, so that a full service is not taken for a dead one.
"""

from __future__ import annotations

import logging
from asyncio import CancelledError, Lock, sleep
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from obligor.core.errors import ObligorError, UnavailableError
from obligor.serving.card_data import refuse_card_data_in_address, refuse_card_data_in_headers
from obligor.serving.http.door import CALLER, peer_of
from obligor.serving.http.heads import CACHING, HEADERS_WANTED, LASTING, NO_PAGE, PAGE, POLICY, are_too_large
from obligor.serving.http.problems import CLOSE, FAULT, HEADERS, HttpProblemError, answer_of, no_seat, places
from obligor.serving.http.wire import HOLD_BACK, PACE
from obligor.serving.people.authenticating import network_of
from obligor.serving.refusals import TOLD_OF

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from obligor.serving.http.door import Door
    from obligor.serving.http.problems import Answer

_OTHER = "other"
_TOO_MANY = 429
_log = logging.getLogger("obligor.http")


class Guard:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, door: Door) -> None:
        self._app = app
        self._door = door
        self._lines = WeakValueDictionary[str, Lock]()
        """Of each address, in which those wait who are answered without having been let in."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or tell it why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        out, meter, started = Outgoing(closing=self._door.seats.draining), self._door.meter, perf_counter()
        meter.entered()
        try:
            await self._seat(scope, receive, out)
        finally:
            meter.left(_route_of(scope), out.status, perf_counter() - started)
            if out.status in TOLD_OF:
                self._tell_of_refusal(scope, out.status)
        if CALLER not in scope:
            await self._wait_in_line(peer_of(scope))
        back = HOLD_BACK if out.sheds else "" if CALLER in scope else PACE
        if back in scope and (wait := scope[back]()):
            await sleep(wait)
        with suppress(RuntimeError):  # the connection was closed meanwhile
            for message in out.messages:
                await send(message)

    async def _wait_in_line(self, peer: str) -> None:
        """Let the loop turn once for each answer to an address: its next request comes after it, and others between."""
        line = self._lines.get(peer)
        if line is None:
            line = self._lines[peer] = Lock()
        async with line:
            await sleep(0)

    def _tell_of_refusal(self, scope: Scope, status: int) -> None:
        caller, route = scope.get(CALLER), _route_of(scope)
        if caller is not None or route != _OTHER:  # whoever tries paths that are none learns nothing, and fills no log
            network = network_of(peer_of(scope))
            self._door.refusals.refused(caller, route=route, why=TOLD_OF[status], network=network)

    async def _seat(self, scope: Scope, receive: Receive, out: Outgoing) -> None:
        seats = self._door.seats
        if are_too_large(scope["headers"]):
            out.answer(answer_of(HttpProblemError(HEADERS, HEADERS_WANTED, CLOSE)))
        elif scope["path"].startswith("/health/"):
            await self._run(scope, receive, out)
        elif seats.open >= seats.most:
            self._door.meter.refused("shed")
            out.answer(no_seat())
        else:
            seats.open += 1
            try:
                await self._run(scope, receive, out)
            finally:
                seats.open -= 1

    async def _run(self, scope: Scope, receive: Receive, out: Outgoing) -> None:
        try:
            refuse_card_data_in_headers(scope["headers"])
            refuse_card_data_in_address(scope["raw_path"], scope["query_string"])
            await self._app(scope, receive, out.keep)
        except CancelledError:  # the time to stop in is over, and the task ends here
            if not out.status:
                out.answer(
                    answer_of(UnavailableError("the service stopped; the same request sent again finds out", told=True))
                )
        except (ObligorError, HttpProblemError) as error:
            out.answer(answer_of(error))
        except Exception as error:  # noqa: BLE001  the last that can tell the client
            _log.error("%s at %s", type(error).__name__, places(error))
            if not out.status:
                out.answer(answer_of(FAULT))


class Outgoing:
    """Keeps an answer, with the headers that every answer has, to be sent without a seat: a client may take it slowly."""

    __slots__ = ("_closing", "messages", "sheds", "status")

    def __init__(self, *, closing: bool) -> None:
        self._closing = CLOSE if closing else ()
        self.status = 0
        """Of the answer, once it has begun."""
        self.sheds = False
        """Whether the answer sheds the request, and tells it to come again later."""
        self.messages: list[Message] = []

    async def keep(self, message: Message) -> None:
        """Keep a message of the framework, whose answers are all whole."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.sheds = self.status == _TOO_MANY
            said = {name for name, _ in message["headers"]}
            always = PAGE if POLICY in said else LASTING if CACHING in said else NO_PAGE
            headers = [*message["headers"], *always, *self._closing]
            message = {**message, "headers": headers}
        self.messages.append(message)

    def answer(self, answer: Answer) -> None:
        """Keep a whole answer that is no page."""
        self.status = answer.status
        self.sheds = answer is no_seat() or answer.status == _TOO_MANY
        length = (b"content-length", b"%d" % len(answer.body))
        headers = [*answer.headers, length, *NO_PAGE, *self._closing]
        self.messages += (
            {"type": "http.response.start", "status": answer.status, "headers": headers},
            {"type": "http.response.body", "body": answer.body},
        )


def _route_of(scope: Scope) -> str:
    """Name the route that a request found; what was asked for is never a name."""
    route, method = scope.get("route"), scope["method"]
    return f"{method} {route.path_format}" if route is not None and method in route.methods else _OTHER
