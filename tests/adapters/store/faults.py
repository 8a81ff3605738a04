"""A proxy before PostgreSQL that fails on purpose: it is down, slow, or breaks in the middle of a COMMIT."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Literal
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

Fault = Literal["none", "down", "slow", "lose COMMIT", "lose its answer"]
_COMMIT = b"\x00commit\x00"  # where a Bind names the prepared statement


class Proxy:
    """Passes bytes between two sockets, and fails as it is told.

    A fault in COMMIT happens so many ``times``; what is after it is ``then``.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.lead_to(url)
        self._socket = folder / ".s.PGSQL.5432"
        self.url = f"{url.partition('?')[0]}?host={folder}"
        self.fault: Fault = "none"
        self.times = 0
        self.then: Fault = "none"
        self.delay_s = 0.0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_unix_server(self._accept, self._socket)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def lead_to(self, url: str) -> None:
        """Lead who comes from now on to a server."""
        self._to = f"{parse_qs(urlsplit(url).query)['host'][0]}/.s.PGSQL.5432"

    def cut(self) -> None:
        """Break every connection off."""
        for task in self._tasks:
            task.cancel()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())  # though it was broken off before it began

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError, OSError):
            if self.fault != "down":
                await self._pass(reader, writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_unix_connection(self._to)
        lost = asyncio.Event()
        both = [asyncio.create_task(self._ask(reader, forth, lost)), asyncio.create_task(_answer(back, writer, lost))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            forth.transport.abort()  # before anything is waited for: it may be broken off there once more
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    async def _ask(self, reader: asyncio.StreamReader, forth: asyncio.StreamWriter, lost: asyncio.Event) -> None:
        while data := await reader.read(1 << 16):
            if self.fault == "slow":
                await asyncio.sleep(self.delay_s)
            if self.times > 0 and _COMMIT in data:
                self.times -= 1
                lost.set()
                fault, self.fault = self.fault, self.then
                if fault == "lose its answer":
                    forth.write(data)
                    await forth.drain()
                    await asyncio.sleep(0.05)  # the server does its work, and nobody hears of it
                return
            forth.write(data)
            await forth.drain()


async def _answer(back: asyncio.StreamReader, writer: asyncio.StreamWriter, lost: asyncio.Event) -> None:
    while data := await back.read(1 << 16):
        if lost.is_set():
            return
        writer.write(data)
        await writer.drain()
