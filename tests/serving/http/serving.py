"""Runs the REST door on a port of the loopback, for tests that need real sockets."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import uvloop

from obligor.security.networks import NOWHERE
from obligor.serving.http import HttpServer, RunLimits, Seats, make_server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from starlette.types import ASGIApp

    from obligor.security.networks import Networks
    from obligor.serving.http import Hot
    from obligor.serving.http.handshakes import Encryption

QUICK = RunLimits(notice_seconds=0.0, drain_seconds=5)


def run(main: Coroutine[None, None, None]) -> None:
    uvloop.run(main)


@asynccontextmanager
async def served(
    app: ASGIApp,
    *,
    seats: Seats | None = None,
    limits: RunLimits = QUICK,
    encryption: Encryption | None = None,
    hot: Hot | None = None,
    proxies: Networks = NOWHERE,
) -> AsyncIterator[HttpServer]:
    """Serve an application while the block lasts."""
    seats = seats or Seats()
    server = make_server(
        app, seats=seats, host="127.0.0.1", port=0, limits=limits, encryption=encryption, hot=hot, proxies=proxies
    )
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server
    finally:
        server.should_exit = True
        await running


async def say(port: int, *parts: bytes, pause: float = 0.0, wait: float = 5.0) -> bytes:
    """Send parts over one connection, and give all that comes back until the service closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = asyncio.create_task(_all(reader, wait))
    try:
        for part in parts:
            if heard.done():
                break
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause)
    except ConnectionError:
        pass
    finally:
        found = await heard
        writer.close()
    return found


async def ask(port: int, head: bytes, body: bytes = b"") -> tuple[int, bytes]:
    """Give the status and the body of an answer; 0 where the port is closed, or was before the request was taken up."""
    try:
        found = await say(port, head + b"host: x\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    except ConnectionError:
        return 0, b""
    said, _, answer = found.partition(b"\r\n\r\n")
    return int(said[9:12] or 0), answer


async def _all(reader: asyncio.StreamReader, wait: float) -> bytes:
    found = b""
    try:
        async with asyncio.timeout(wait):
            while part := await reader.read(1 << 16):
                found += part
    except (TimeoutError, ConnectionError):
        pass
    return found
