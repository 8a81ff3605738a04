"""The connections of the service: who sends slowly, who sends no end of headers, and who only holds a socket open.

Uvicorn waits for a request for ever and keeps all of its head. Here a head has a size, a head and a body have a time, and
where there are more sockets than the service may hold, one that waits idle gives way, the longest idle first: those who ask
are served. Times are looked at a few times a second for all connections together, which costs a request nothing.

To refuse costs time that those who were let in wait for. So whoever is told to come again later, and does not wait, is told
the next time only once that is over. A request that finds room is answered at once, however its connection was used before:
behind a proxy, connections are shared.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from obligor.security.networks import Networks, address_of, sender_of
from obligor.serving.http.problems import HEADERS, MALFORMED, PROBLEM_JSON, SLOW, ProblemType, problem_json
from obligor.serving.people.authenticating import NOBODY, Sender

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application

HOLD_BACK = "obligor.hold_back"
"""Where a request's scope has what tells for how long its refusal is held back."""
PACE = "obligor.pace"
"""Where it has what tells for how long an answer to whoever was not let in is held back."""
CERTIFICATE = "obligor.certificate"
"""Where it has the SHA-256 of the certificate that the client showed; none where it showed none."""
_FORWARDED = b"x-forwarded-for"
_LOOKS = 5
_AHEAD = 16
"""How many requests may wait that were sent before the one ahead of them was answered; others are not read until then."""
_AT_ONCE = 1 << 12
"""How many bytes are read between two looks at how many wait."""
_LONGEST_LOOK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What a connection may take."""

    head_seconds: float = 10.0
    """From the connection, or from the first byte of a later request, to the end of its headers."""
    request_seconds: float = 30.0
    """To the end of its body."""
    head_bytes: int = 32 << 10
    shed_seconds: float = 1.0
    """How long who was shed is to wait, at least: what Retry-After says. At most it is twice that."""
    connections: int = 4000
    open_at_once: int = 4
    """How many answers a connection gets one right after the other that ask for no key: of health, of a page, of refusals."""
    open_seconds: float = 0.25
    """The time to each further one: less than whoever probes waits for it."""
    proxy_rest_seconds: int = 620
    """For how long a connection of a proxy may rest: longer than the proxy lets it (Google's for ten minutes), or it would be
    closed in the moment in which the next request is sent."""

    @property
    def look_seconds(self) -> float:
        """How often times are looked at."""
        return min(self.head_seconds / _LOOKS, _LONGEST_LOOK_SECONDS)


class WireProtocol(HttpToolsProtocol):
    """One connection."""

    limits: ClassVar[WireLimits]
    proxies: ClassVar[Networks]
    """Where the lender's proxies stand, that say whom a request is from."""
    idle: ClassVar[dict[WireProtocol, float]]
    """The connections of the service that wait for a request, the longest first, with the time since when."""
    arriving: ClassVar[dict[WireProtocol, float]]
    """Those whose request is not whole yet, with the time at which it began."""
    stuck: ClassVar[dict[WireProtocol, float]]
    """Those whose client does not take the answer that it is sent, the longest first, with the time since when."""
    looking: ClassVar[bool]
    sender: Sender = NOBODY

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._head_bytes = 0
        self._in_head = True
        self._answered: RequestResponseCycle | None = None
        self._unread = b""
        self._reading = False
        self._unsent = 0
        self._welcome_at = 0.0
        self._paced_to = 0.0
        self._proxy = ""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Make room for a connection, and give it time for its first head."""
        super().connection_made(transport)
        self.sender = Sender(self.client[0] if self.client else "", _certificate(transport))
        if address_of(self.sender.peer) in self.proxies:
            self._proxy = self.sender.peer
            self.timeout_keep_alive = self.limits.proxy_rest_seconds
        self._rest()
        self._begin()
        if len(self.connections) > self.limits.connections:
            others = self.idle if len(self.idle) > 1 or not self.stuck else self.stuck  # this one is idle, too
            longest = next(iter(others))
            del others[longest]
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget a connection."""
        self.arriving.pop(self, None)
        self.idle.pop(self, None)
        self.stuck.pop(self, None)
        if self._answered is not None:
            self._answered.disconnected = True  # Uvicorn tells the last that was sent, which may wait behind it
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Know that a client does not take its answer."""
        super().pause_writing()
        self.stuck[self] = self.loop.time()
        self._look_on()

    def resume_writing(self) -> None:
        """Know that it does again."""
        super().resume_writing()
        self.stuck.pop(self, None)

    def data_received(self, data: bytes) -> None:
        """Read on, unless so many requests were sent ahead that these must wait: each that is read takes some memory."""
        if self._unread or len(data) > _AT_ONCE or not self._may_read():
            self._unread += data
            self._read_on()
        else:  # as it nearly always is
            self._reading = True
            self._take(data)
            self._reading = False

    def _may_read(self) -> bool:
        return len(self.pipeline) < _AHEAD and not self.transport.is_closing()

    def _read_on(self) -> None:
        if self._reading:  # an answer is written while a request is read
            return
        self._reading, unread, at = True, memoryview(self._unread), 0
        while at < len(unread) and self._may_read():
            self._take(unread[at : at + _AT_ONCE])
            at += _AT_ONCE
        self._reading, self._unread = False, b"" if self.transport.is_closing() else bytes(unread[at:])
        if self._unread:
            self.flow.pause_reading()
            self.arriving.pop(self, None)  # it is the service that lets it wait

    def _take(self, data: bytes | memoryview) -> None:
        """Count the bytes of a head; the time of a request that is not whole yet begins with the first."""
        if self._in_head:
            self._head_bytes += len(data)
        self._read(data)
        if not self._in_head or self._head_bytes:
            if self not in self.arriving:
                self._begin()
            if self._in_head and self._head_bytes > self.limits.head_bytes:
                self._refuse(HEADERS, f"wanted a head of at most {self.limits.head_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header; one that comes after the body is nothing to anybody here."""
        if self._in_head:
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            elif name == b"transfer-encoding" and value.lower() != b"chunked":
                raise HttpParserError("a body that is packed on its way")  # of two codings the parser heeds one
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Let the request go on; one that asks for another protocol is read again first."""
        if self.parser.should_upgrade():
            return
        self.end_head()
        super().on_headers_complete()
        scope = cast("dict[str, Any]", self.scope)  # for the guard and the door, which know no connections
        scope[HOLD_BACK], scope[PACE], scope[CERTIFICATE] = self.hold_back, self.pace, self.sender.certificate
        if self._proxy:
            scope["client"] = (self.sender.peer, 0)

    def on_message_complete(self) -> None:
        """Expect the next head."""
        if self.parser.should_upgrade():
            return
        self.expect_head()
        super().on_message_complete()

    def end_head(self) -> None:
        """Know that the head of a request is whole.

        Raises
        ------
        HttpParserError
            Where it does not name one host (RFC 9112, 3.2): whoever is in between may have read another.
        """
        hosts = [name for name, _ in self.headers].count(b"host")
        if hosts > 1 or (not hosts and self.parser.get_http_version() != "1.0"):
            raise HttpParserError("wanted one host")
        if self._proxy:
            forwarded = [value.decode("latin-1") for name, value in self.headers if name == _FORWARDED]
            self.sender = self.sender._replace(peer=sender_of(self._proxy, forwarded, self.proxies))
        self._in_head = False
        self.idle.pop(self, None)

    def expect_head(self) -> None:
        """Know that a request is whole, and that another may begin."""
        self._in_head, self._head_bytes = True, 0
        self.arriving.pop(self, None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """Begin the next request that waits on the connection, or rest.

        Uvicorn sets a timer for each rest, and takes it back; here ``look`` finds who rests too long.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._rest()
        if self._unread:
            self._read_on()
        if not self._unread:
            self.flow.resume_reading()

    def hold_back(self) -> float:
        """Give the seconds for which a refusal is held back: none, unless the client was told to wait, and did not."""
        now = self.loop.time()
        told_at = max(now, self._welcome_at)
        wait = random.uniform(1, 2) * self.limits.shed_seconds  # noqa: S311  so that they do not all come at once
        self._welcome_at = told_at + wait
        return told_at - now

    def pace(self) -> float:
        """Give the seconds for which an answer to whoever was not let in is held back: anybody may ask, and without end."""
        now, limits = self.loop.time(), self.limits
        at_first = now - limits.open_at_once * limits.open_seconds
        self._paced_to = max(self._paced_to, at_first) + limits.open_seconds
        return max(0.0, self._paced_to - now)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002  uvicorn's own text
        """Refuse what is not HTTP."""
        self._refuse(MALFORMED, "wanted an HTTP/1.1 request")

    def look(self) -> None:
        """Give up every request that takes too long to arrive and every rest that lasts; look again while there is any."""
        now = self.loop.time()
        for it, began in list(self.arriving.items()):
            if it.flow.read_paused:
                self.arriving[it] = now  # it is the service that lets it wait, with what is kept of its body unread
            else:
                it.give_up_after(now - began)
        for it, began in list(self.idle.items()):
            if now - began >= it.timeout_keep_alive and it not in self.arriving:
                it.rest_no_more()
        for it, began in list(self.stuck.items()):
            if now - began >= it.timeout_keep_alive and it not in self.idle:
                it.wait_no_more()
        type(self).looking = bool(self.arriving or self.idle or self.stuck)
        if self.looking:
            self.loop.call_later(self.limits.look_seconds, self.look)

    def rest_no_more(self) -> None:
        """Close a connection that nobody uses, but not while its client still takes an answer, however slowly."""
        if not self.transport.get_write_buffer_size():
            self.transport.close()
        elif self._takes():
            self._rest()
        else:
            self.transport.abort()

    def wait_no_more(self) -> None:
        """Give up a client that takes nothing of its answer, and may wait for more; it would hold both for ever."""
        if self._takes():
            del self.stuck[self]
            self.stuck[self] = self.loop.time()
        else:
            self.transport.abort()

    def _takes(self) -> bool:
        """Tell whether a client took any of its answer since this was asked before."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        return before != self._unsent

    def give_up_after(self, took: float) -> None:
        """Give the request up that has taken so many seconds, where that is too long."""
        seconds = self.limits.head_seconds if self._in_head else self.limits.request_seconds
        if took <= seconds:
            return
        self.arriving.pop(self, None)
        if self._in_head and not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(SLOW, f"the request was not whole within {seconds:g} seconds")

    def _read(self, data: bytes | memoryview) -> None:
        """Read on; Uvicorn would set timers here for each rest, and lose the body of who asks for another protocol."""
        while data:
            try:
                self.parser.feed_data(data)
            except HttpParserUpgrade as asked:
                data = self._again(data[asked.args[0] :])
            except HttpParserError:
                self.send_400_response("")
                return
            else:
                return

    def _again(self, rest: bytes | memoryview) -> bytes:
        """Give a request that asks for another protocol as one that does not, which a server may (RFC 9110, 7.8).

        The parser ends with such a head, and takes a body for the next request. Java's client asks for HTTP/2 with its first.
        So the head is read again, without the header that asks, by a parser that has not ended.
        """
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            self._refuse(MALFORMED, "no tunnel ends here")
            return b""
        self.parser = HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as Uvicorn has it
        lines = [b"%b: %b\r\n" % it for it in self.headers if it[0] != b"upgrade"]
        return b"%b %b HTTP/%b\r\n%b\r\n" % (method, self.url, version, b"".join(lines)) + rest

    def _begin(self) -> None:
        self.arriving[self] = self.loop.time()
        self._look_on()

    def _rest(self) -> None:
        self.idle.pop(self, None)
        self.idle[self] = self.loop.time()
        self._look_on()

    def _look_on(self) -> None:
        if not self.looking:
            type(self).looking = True
            self.loop.call_later(self.limits.look_seconds, self.look)

    def _refuse(self, type_: ProblemType, detail: str) -> None:
        """Write a problem where no answer is under way, and close."""
        if self.transport.is_closing():
            return
        if self._may_answer():
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

    def _may_answer(self) -> bool:
        """Tell whether an answer now would be taken for one of what arrives, and not of a request before it."""
        if self.cycle is None or self.cycle.response_complete:
            return True
        return not (self._in_head or self.cycle.response_started or self.pipeline)


def _certificate(transport: asyncio.Transport) -> bytes | None:
    """Give the SHA-256 of the certificate by which a client is known, if it showed one."""
    encryption = transport.get_extra_info("ssl_object")
    shown = None if encryption is None else encryption.getpeercert(binary_form=True)
    return sha256(shown).digest() if shown else None


def wire_protocol(limits: WireLimits, proxies: Networks) -> type[WireProtocol]:
    """Give the class of the connections of one service."""
    own = {"limits": limits, "proxies": proxies, "idle": {}, "arriving": {}, "stuck": {}, "looking": False}
    return cast("type[WireProtocol]", type("ServiceProtocol", (WireProtocol,), own))
