"""Connections on which decisions are answered from where they arrive: no task, no scope and no messages for each.

Uvicorn makes all of these for a request. Here one that `hot` can decide on at once is kept out of that, and answered when its
recording is done; to Uvicorn it looks like any request that is being answered. Every other request goes Uvicorn's way, from
its head on, from the middle of its body, or from its end, whenever it turns out.

Requests that come in one round of the loop are first all read, and then all decided on: code that is still at hand from the
one before takes a tenth less time.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from obligor.serving.http.heads import NO_PAGE
from obligor.serving.http.hot import MOST_BYTES, PATH
from obligor.serving.http.problems import CLOSE, Answer
from obligor.serving.http.wire import WireProtocol, wire_protocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from obligor.security.networks import Networks
    from obligor.serving.http.hot import Begun, Hot
    from obligor.serving.http.problems import Headers
    from obligor.serving.http.wire import WireLimits

_PATH: Final = PATH.encode()


class PromptProtocol(WireProtocol):
    """One connection of a service that decides at once where it can."""

    hot: ClassVar[Hot]
    told: ClassVar[tuple[list[tuple[bytes, bytes]], bytes]] = ([], b"")
    """What the service tells of itself with every answer: as Uvicorn has it, and as it is written."""
    whole: ClassVar[list[PromptProtocol]]
    """Those whose requests are whole, and will be decided on in this round."""
    _parts: list[bytes] | None = None
    """The body so far of a request that may be decided on at once."""
    _size = 0
    _waiting: _Waiting | None = None
    """The request that is whole and not decided on."""

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made where it goes the long way."""
        self.decide()  # what came before it in the same bytes
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Wait for the body of a request that may be decided on at once."""
        if self.parser.should_upgrade():
            return
        if self._may_be_prompt():
            self.end_head()
            self._parts, self._size = [], 0
        else:
            self._go_the_long_way()

    def on_body(self, body: bytes) -> None:
        """Keep a part of a body, up to a size."""
        if self._parts is None:
            super().on_body(body)
            return
        self._parts.append(body)
        self._size += len(body)
        if self._size > MOST_BYTES:
            self._go_the_long_way()

    def on_message_complete(self) -> None:
        """Let a request that is whole be decided on."""
        if self._parts is None:
            super().on_message_complete()
            return
        self.expect_head()
        self._waiting = _Waiting()
        self.cycle = cast("Any", self._waiting)
        if not self.whole:
            self.loop.call_soon(self._decide_all)
        self.whole.append(self)

    @classmethod
    def _decide_all(cls) -> None:
        whole, cls.whole = cls.whole, []
        for it in whole:
            it.decide()

    def decide(self) -> None:
        """Decide on the request that is whole, if any is and its client is still there."""
        waiting, self._waiting = self._waiting, None
        if waiting is None or self.transport.is_closing():
            return
        begun = self.hot.begin(self.headers, b"".join(self._parts or ()), self.sender)
        if begun is None:
            waiting.response_complete = True
            self._go_the_long_way()
            self.cycle.keep_alive = self.cycle.keep_alive and waiting.keep_alive
            super().on_message_complete()
            return
        self._parts = None
        if isinstance(begun, Answer):
            self._shed(waiting, begun)
        else:
            begun.recording.recorded.add_done_callback(partial(self._decided, waiting, begun))

    def _may_be_prompt(self) -> bool:
        parser = self.parser
        return (
            self.url == _PATH
            and parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and parser.get_http_version() == "1.1"
        )

    def _go_the_long_way(self) -> None:
        """Do now what Uvicorn does from the beginning of a request."""
        url, headers, expect, parts = self.url, self.headers, self.expect_100_continue, self._parts or ()
        self._parts = None
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()
        for part in parts:
            super().on_body(part)

    def _shed(self, waiting: _Waiting, answer: Answer) -> None:
        seconds = self.hold_back()
        if seconds:
            self.loop.call_later(seconds, self._answer, waiting, answer)
        else:
            self._answer(waiting, answer)

    def _decided(self, waiting: _Waiting, begun: Begun, _recorded: asyncio.Future[Any]) -> None:
        self._answer(waiting, self.hot.end(begun))

    def _answer(self, waiting: _Waiting, answer: Answer) -> None:
        waiting.response_complete = True
        if self.transport.is_closing():
            return
        closing = CLOSE if self.hot.draining else ()
        self.transport.write(self._written(answer, closing))
        if closing or not waiting.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _written(self, answer: Answer, closing: Headers) -> bytes:
        server, lines = self.told
        if server is not self.server_state.default_headers:  # Uvicorn makes them anew each second, with the date
            server = self.server_state.default_headers
            lines = _lines(server)
            type(self).told = (server, lines)
        begun, body = _begun(answer.status, answer.headers, closing), answer.body
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (begun, lines, len(body), body)


class _NoEvent:
    def set(self) -> None:
        """Wake nobody."""


class _Waiting:
    """A request that is being answered, as far as Uvicorn looks at one."""

    keep_alive = True
    disconnected = response_started = response_complete = False
    message_event = _NoEvent()


@lru_cache(maxsize=64)
def _begun(status: int, headers: Headers, closing: Headers) -> bytes:
    return STATUS_LINE[status] + _lines((*headers, *NO_PAGE, *closing))


def _lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def prompt_protocol(limits: WireLimits, proxies: Networks, hot: Hot) -> type[WireProtocol]:
    """Give the class of the connections of one service that decides at once where it can."""
    own = {"whole": [], "told": ([], b""), "hot": hot}
    return cast(
        "type[WireProtocol]", type("PromptServiceProtocol", (PromptProtocol, wire_protocol(limits, proxies)), own)
    )
