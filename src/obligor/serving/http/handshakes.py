"""Takes connections up that are encrypted: a handshake has a time, and only so many are under way at a time.

The loop would do both by itself, but counts nobody before they have shaken hands: fifteen thousand who said nothing took it
eight hundred megabytes. Here the oldest gives way.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterable

    Encryption = Callable[[], ssl.SSLContext]
    """Gives the context of the next handshake: a certificate may have been renewed."""

_NO_FILE_SECONDS = 0.1


class Handshakes:
    """Those that are under way; belongs to one event loop, from `take_up` to `close`.

    Parameters
    ----------
    made
        Gives what a connection speaks to, once it has shaken hands.
    seconds
        How long a handshake may take, and the farewell.
    most
        How many may be under way.
    """

    def __init__(
        self, made: Callable[[], asyncio.Protocol], encryption: Encryption, *, seconds: float, most: int
    ) -> None:
        self._made, self._encryption, self._seconds, self._most = made, encryption, seconds, most
        self._listening: list[asyncio.Task[None]] = []
        self._under_way: dict[asyncio.Task[None], None] = {}

    def take_up(self, sockets: Iterable[socket.socket]) -> None:
        """Take up whoever comes, of each socket one in each round of the loop."""
        for it in sockets:
            it.setblocking(False)
            self._listening.append(asyncio.create_task(self._listen(it)))

    def close(self) -> None:
        """Take nobody up any more, and let those go who have not shaken hands."""
        for it in (*self._listening, *self._under_way):
            it.cancel()

    async def _listen(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listening)
            except OSError:  # who left before, or nothing to hold another with
                await asyncio.sleep(_NO_FILE_SECONDS)
                continue
            if len(self._under_way) >= self._most:
                oldest = next(iter(self._under_way))
                del self._under_way[oldest]
                oldest.cancel()
            begun = asyncio.create_task(self._shake_hands(accepted))
            self._under_way[begun] = None
            begun.add_done_callback(lambda it: self._under_way.pop(it, None))

    async def _shake_hands(self, accepted: socket.socket) -> None:
        loop, seconds = asyncio.get_running_loop(), self._seconds
        with suppress(OSError):  # what may be wrong with it nobody here needs to know
            await loop.connect_accepted_socket(
                self._made,
                accepted,
                ssl=self._encryption(),
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=seconds,
            )
