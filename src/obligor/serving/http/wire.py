"""The connections of the service: who sends slowly, who sends no end of headers, and who only holds a socket open.

Uvicorn waits for the head of a request for ever and keeps all of it. Here a head has a size and a time, and where there are
more sockets than the service may hold, one that waits idle gives way, the longest idle first: those who ask are served.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from obligor.serving.http.problems import HEADERS, MALFORMED, PROBLEM_JSON, SLOW, ProblemType, problem_json

if TYPE_CHECKING:
    import asyncio


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What a connection may take."""

    head_seconds: float = 10.0
    """From the connection, or from the first byte of a later request, to the end of its headers."""
    head_bytes: int = 32 << 10
    connections: int = 4000


class WireProtocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[WireLimits]
    idle: ClassVar[dict[WireProtocol, None]]
    """The connections of the service that wait for a request, the longest first."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head_bytes = 0
        self._in_head = True
        self._timer: asyncio.TimerHandle | None = None
        self._unsent = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Make room for a connection, and give it time for its first head."""
        super().connection_made(transport)
        self._rest()
        self._start_timer()
        if len(self.connections) > self.limits.connections:
            longest = next(iter(self.idle))
            del self.idle[longest]
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self._stop_timer()
        self.idle.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the bytes of a head; start its time with its first byte."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._timer is None:
                self._start_timer()
        super().data_received(data)
        if self._in_head and self._head_bytes > self.limits.head_bytes:
            self._refuse(HEADERS, f"wanted a head of at most {self.limits.head_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that comes after the body is nothing to anybody here."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Let the request go on: the time of its body is counted by who reads it."""
        self._stop_timer()
        self._in_head = False
        self.idle.pop(self, None)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Expect the next head."""
        self._stop_timer()
        self._in_head, self._head_bytes = True, 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Rest; where the answer came before the end of the body, the rest of it has as long as a head."""
        super().on_response_complete()
        if self.transport.is_closing() or self.pipeline:
            return
        self._rest()
        if not self._in_head:
            self._start_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that nobody uses, but not while its client still takes an answer, however slowly."""
        unsent = self.transport.get_write_buffer_size()
        if unsent and unsent != self._unsent:
            self._unsent = unsent
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif unsent:
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own text
        """Refuse what is not HTTP."""
        self._refuse(MALFORMED, "wanted an HTTP/1.1 request")

    def _rest(self) -> None:
        self.idle.pop(self, None)
        self.idle[self] = None

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self.limits.head_seconds, self._too_slow)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._in_head and self._head_bytes:
            self._refuse(SLOW, f"the head was not whole within {self.limits.head_seconds:g} seconds")
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, type_: ProblemType, detail: str) -> None:
        """Write a problem where no answer is under way, and close."""
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            body = problem_json(type_, detail)
            headers = (
                (b"content-type", PROBLEM_JSON),
                (b"content-length", b"%d" % len(body)),
                (b"cache-control", b"no-store"),
                (b"connection", b"close"),
            )
            lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
            self.transport.write(STATUS_LINE[type_.status] + lines + b"\r\n" + body)
        self.transport.close()


def wire_protocol(limits: WireLimits) -> type[WireProtocol]:
    """Give the class of the connections of one service."""
    made = type("ServiceProtocol", (WireProtocol,), {"limits": limits, "idle": {}})
    return cast("type[WireProtocol]", made)
