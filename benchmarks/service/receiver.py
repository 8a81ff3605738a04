"""A client's own system that takes every event: ``python -m benchmarks.service.receiver PORT``."""

from __future__ import annotations

import asyncio
import sys

_TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"


async def _take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            told = (line.partition(b":") for line in head.lower().split(b"\r\n"))
            await reader.readexactly(next(int(it) for name, _, it in told if name == b"content-length"))
            writer.write(_TAKEN)
            await writer.drain()
    except (asyncio.IncompleteReadError, OSError):
        writer.close()


async def _serve(port: str) -> None:
    async with await asyncio.start_server(_take, "127.0.0.1", int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
