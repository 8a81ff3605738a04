"""Runs the REST door: Uvicorn on uvloop and httptools, one process, and an end that loses nothing.

Told to stop, the service first says that it is not ready and asks every client to close its connection, while it still answers:
whoever sends requests here hears of it before the port is closed. Then open requests have the rest of half a minute to finish.
"""

from __future__ import annotations

import asyncio
import gc
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import uvicorn

from obligor.security.networks import NOWHERE
from obligor.serving.http.handshakes import Handshakes
from obligor.serving.http.listening import BACKLOG, listen
from obligor.serving.http.prompt import prompt_protocol
from obligor.serving.http.wire import WireLimits, wire_protocol

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator

    from starlette.types import ASGIApp

    from obligor.security.networks import Networks
    from obligor.serving.http.handshakes import Encryption
    from obligor.serving.http.hot import Hot
    from obligor.serving.seats import Seats

ACCEPTED_AT_ONCE = 16
"""How many connections are taken up in one round of the loop. Of one socket it takes up one: under load, with rounds of
milliseconds, a thousand connections would wait for seconds. So the loop is given the same socket several times."""
_NEW_OBJECTS = 20_000


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How long the end may take, and what connections may take."""

    notice_seconds: float = 2.0
    """For how long the service still answers, not ready, before it closes its port."""
    drain_seconds: int = 28
    """For how long open requests may then go on."""
    keep_alive_seconds: int = 30
    handshake_seconds: float = 10.0
    """For how long a connection may take for TLS, as that of gRPC may."""
    handshakes: int = 1000
    """How many may be at that."""
    wire: WireLimits = field(default_factory=WireLimits)


class HttpServer(uvicorn.Server):
    """Uvicorn, which says that it will stop before it stops."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        seats: Seats,
        limits: RunLimits,
        encryption: Encryption | None,
        listening: Callable[[int], Awaitable[None]],
    ) -> None:
        super().__init__(config)
        self._listening = listening
        self._seats = seats
        self._limits = limits
        self._encryption = encryption
        self._sockets: list[socket.socket] = []
        self._handshakes: Handshakes | None = None

    @property
    def port(self) -> int:
        """The port that it listens on; known once it has started."""
        port: int = self._sockets[0].getsockname()[1]
        return port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and take what was made until now out of the garbage collector's rounds: no request waits for them.

        Raises
        ------
        UnavailableError
            Where nothing can listen there.
        """
        self._sockets = sockets or [
            it.dup() if again else it
            for it in listen(self.config.host, self.config.port)
            for again in range(ACCEPTED_AT_ONCE)
        ]
        await self._listening(self.port)  # who connects by now is answered after it
        if self._encryption is None:
            await super().startup(self._sockets)
        else:
            kind = cast("Callable[..., asyncio.Protocol]", self.config.http_protocol_class)
            made = partial(kind, config=self.config, server_state=self.server_state, app_state={})
            seconds, most = self._limits.handshake_seconds, self._limits.handshakes
            self._handshakes = Handshakes(made, self._encryption, seconds=seconds, most=most)
            self._handshakes.take_up(self._sockets)
            self.servers = []
            self.started = True
        gc.collect()
        gc.freeze()
        gc.set_threshold(_NEW_OBJECTS, 20, 100)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen to SIGTERM and SIGINT; what they asked for is done then, and nobody is told again."""
        with super().capture_signals():
            yield
            self._captured_signals.clear()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Give notice, then close the port, then wait for open requests."""
        self._seats.draining = True
        wait = 0.0 if self.force_exit else self._limits.notice_seconds
        while wait > 0 and not self.force_exit:
            await asyncio.sleep(min(wait, 0.1))
            wait -= 0.1
        if self._handshakes is not None:
            self._handshakes.close()
        await super().shutdown(sockets or self._sockets)


async def _nothing(_port: int) -> None:
    """Do nothing once the port is open."""


def make_server(
    app: ASGIApp,
    *,
    seats: Seats,
    host: str,
    port: int,
    limits: RunLimits = RunLimits(),
    encryption: Encryption | None = None,
    hot: Hot | None = None,
    proxies: Networks = NOWHERE,
    listening: Callable[[int], Awaitable[None]] = _nothing,
) -> HttpServer:
    """Make the server of an application; ``await server.serve()`` runs it until SIGTERM or SIGINT.

    Decisions are made where they arrive by ``hot``, and go to the application only where there is none, or where it cannot.
    ``encryption`` is asked at each handshake. What ``proxies`` say of who sends a request is believed. ``listening`` is called
    once the port is open, with its number, and before anybody is answered.
    """
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        loop="uvloop",
        http=wire_protocol(limits.wire, proxies) if hot is None else prompt_protocol(limits.wire, proxies, hot),
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="error",  # a client that sends no HTTP is told so, and needs no line in the log
        access_log=False,
        server_header=False,
        proxy_headers=False,  # by ``proxies``, and on the prompt way, too
        backlog=BACKLOG,
        timeout_keep_alive=limits.keep_alive_seconds,
        timeout_graceful_shutdown=limits.drain_seconds,
    )
    return HttpServer(config, seats=seats, limits=limits, encryption=encryption, listening=listening)
