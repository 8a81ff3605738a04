"""Connections on which decisions are answered from where they arrive: no task, no scope and no messages for each.

Uvicorn makes all of these for a request. Here one that `hot` can decide on at once is kept out of that, and answered when its
recording is done; to Uvicorn it looks like any request that is being answered. Every other request goes Uvicorn's way, from
its head on, from the middle of its body, or from its end, whenever it turns out.
"""

from __future__ import annotations

from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from obligor.serving.http.heads import NO_PAGE
from obligor.serving.http.hot import MOST_BYTES, PATH
from obligor.serving.http.problems import CLOSE, Answer
from obligor.serving.http.wire import WireLimits, WireProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable

    from obligor.serving.http.hot import Begun, Hot
    from obligor.serving.http.problems import Headers

_PATH: Final = PATH.encode()


class PromptProtocol(WireProtocol):
    """One connection of a service that decides at once where it can."""

    hot: ClassVar[Hot]
    _parts: list[bytes] | None = None
    """The body so far of a request that may be decided on at once."""
    _size = 0

    def on_message_begin(self) -> None:
        """Begin a request; its scope is made where it goes the long way."""
        self.url, self.headers, self.expect_100_continue = b"", [], False

    def on_headers_complete(self) -> None:
        """Wait for the body of a request that may be decided on at once."""
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
        """Decide on a request that is whole."""
        if self._parts is not None:
            begun = self.hot.begin(self.headers, b"".join(self._parts))
            if begun is not None:
                self._parts = None
                self.expect_head()
                self.cycle = cast("Any", waiting := _Waiting())
                if isinstance(begun, Answer):
                    self._shed(waiting, begun)
                else:
                    begun.recording.recorded.add_done_callback(partial(self._decided, waiting, begun))
                return
            self._go_the_long_way()
        super().on_message_complete()

    def _may_be_prompt(self) -> bool:
        parser = self.parser
        return (
            self.url == _PATH
            and parser.get_method() == b"POST"
            and (self.cycle is None or self.cycle.response_complete)
            and not self.expect_100_continue
            and not self.flow.write_paused
            and parser.should_keep_alive()
            and not parser.should_upgrade()
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
        self.transport.write(_written(answer, self.server_state.default_headers, closing))
        if closing or not waiting.keep_alive:
            self.transport.close()
        self.on_response_complete()


class _Waiting:
    """A request that is being answered, as far as Uvicorn looks at one."""

    __slots__ = ("disconnected", "keep_alive", "message_event", "response_complete", "response_started")

    def __init__(self) -> None:
        self.keep_alive = True
        self.disconnected = self.response_started = self.response_complete = False
        self.message_event = _NOBODY_WAITS


class _NoEvent:
    def set(self) -> None:
        """Wake nobody."""


_NOBODY_WAITS: Final = _NoEvent()


def _written(answer: Answer, server: Iterable[tuple[bytes, bytes]], closing: Headers) -> bytes:
    begun = _lines(answer.status, (*answer.headers, *NO_PAGE, *closing))
    date = b"".join([b"%b: %b\r\n" % header for header in server])
    return b"%b%bcontent-length: %d\r\n\r\n%b" % (begun, date, len(answer.body), answer.body)


@lru_cache(maxsize=64)
def _lines(status: int, headers: Headers) -> bytes:
    return STATUS_LINE[status] + b"".join(b"%b: %b\r\n" % header for header in headers)


def prompt_protocol(limits: WireLimits, hot: Hot) -> type[WireProtocol]:
    """Give the class of the connections of one service that decides at once where it can."""
    made = type(
        "PromptServiceProtocol",
        (PromptProtocol,),
        {"limits": limits, "idle": {}, "arriving": {}, "looking": False, "hot": hot},
    )
    return cast("type[WireProtocol]", made)
