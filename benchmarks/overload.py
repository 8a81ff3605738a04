"""How long admitted requests take while ten times as many are sent as have a place, or others only hold sockets.

A client's *places* are half of all that a service works on at once; more are shed with 429 or 503. The load comes from wrk:
first as many connections as there are places, then ten times as many, beside sockets that send a header a byte at a time. What
counts are requests beside it, of the same client: the 99th percentile of those that were admitted. They come at an even pace,
whatever becomes of those before, so that a stall weighs the same under every load. Last, as many connections as there are
places ask again, while ten thousand sockets are held by who says nothing: more than the service holds, which lets them go.
"""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.service import wrk
from benchmarks.service.crashes import PATH, Victim
from benchmarks.service.lender import bodies
from benchmarks.service.servers import HOST, ROOT
from obligor.core.errors import UnavailableError
from obligor.serving.seats import Seats

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import aiohttp

TIMES = 10
PROBES_PER_S, SLOW_CLIENTS, SOCKETS = 100, 200, 10_000
_MANY = 1000
_SPARED = 4  # places that the lighter load leaves to the requests beside it
SECONDS, QUICK_SECONDS = 30, 6
PLACES = Seats().most_of_one
_SHED = {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


@dataclass
class Probed:
    """What the requests beside a load saw: the seconds of those admitted, and how many had which status."""

    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    ready: Counter[int] = field(default_factory=Counter)
    ready_seconds: list[float] = field(default_factory=list)
    load: wrk.Figures | None = None

    @property
    def p99_ms(self) -> float:
        """The 99th percentile of those admitted, by the nearest rank."""
        return 1000 * sorted(self.seconds)[math.ceil(0.99 * len(self.seconds)) - 1]


def run(*, quick: bool) -> dict[str, object]:
    """Measure; ``quick`` is short."""
    wrk.require_wrk()
    seconds = QUICK_SECONDS if quick else SECONDS
    with tempfile.TemporaryDirectory(prefix="obligor-overload-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Victim(folder) as victim:
            asyncio.run(_beside(victim, PLACES // 2, seconds=2, slow=0))  # warm
            full = asyncio.run(_beside(victim, PLACES - _SPARED, seconds=seconds, slow=0))
            over = asyncio.run(_beside(victim, TIMES * PLACES, seconds=seconds, slow=SLOW_CLIENTS))
            left = asyncio.run(_beside(victim, PLACES // 2, seconds=2, slow=0))
            with _sockets(victim.port):
                held = asyncio.run(_beside(victim, PLACES - _SPARED, seconds=seconds, slow=0))
    for what, it in (("every place taken", full), (f"{TIMES} times the load", over), (f"{SOCKETS:,} sockets", held)):
        print(
            f"{what}: admitted {len(it.seconds):,}, p99 {it.p99_ms:.1f} ms; statuses {dict(it.statuses)}; {it.load}",
            flush=True,
        )
    strange = set(over.statuses) - {HTTPStatus.CREATED} - _SHED
    return {
        "places": PLACES,
        "overload_p99_ratio": round(over.p99_ms / full.p99_ms, 2),
        "sockets": SOCKETS,
        "sockets_p99_ratio": round(held.p99_ms / full.p99_ms, 2),
        "p99_ms": {"full": round(full.p99_ms, 1), "overload": round(over.p99_ms, 1), "sockets": round(held.p99_ms, 1)},
        "admitted": {"full": len(full.seconds), "overload": len(over.seconds), "sockets": len(held.seconds)},
        "shed": sum(over.statuses[it] for it in _SHED),
        "strange": sum(over.statuses[it] for it in strange),
        "health_p99_ms": round(1000 * sorted(over.ready_seconds)[math.ceil(0.99 * len(over.ready_seconds)) - 1], 1),
        "ready_while_overrun": all(it.ready == Counter({HTTPStatus.OK: sum(it.ready.values())}) for it in (over, held)),
        "admitted_after": set(left.statuses) == {HTTPStatus.CREATED},
    }


async def _beside(victim: Victim, connections: int, *, seconds: int, slow: int) -> Probed:
    """Load with so many connections, and give what requests beside them saw."""
    headers = (("Authorization", f"Bearer {victim.key}"),)
    load, probed = wrk.Load(f"http://{HOST}:{victim.port}", PATH, tuple(bodies()), headers), Probed()
    async with _slow_clients(victim.port, slow):
        with wrk.start(load, connections=connections, seconds=seconds + 1) as running:
            await asyncio.sleep(0.5)
            end = time.monotonic() + seconds
            async with victim.client(connections=_MANY) as client, asyncio.TaskGroup() as asked:
                asked.create_task(_watch(client, probed, end))
                while (left := end - time.monotonic()) > 0:
                    asked.create_task(_probe(victim, client, probed))
                    await asyncio.sleep(left % (1 / PROBES_PER_S))
            probed.load = await asyncio.to_thread(running.figures, strict=False)
    return probed


async def _probe(victim: Victim, client: aiohttp.ClientSession, probed: Probed) -> None:
    key, body = victim.request()
    began = time.perf_counter()
    async with client.post(PATH, data=body, headers={"Idempotency-Key": key}) as answer:
        await answer.read()
    probed.statuses[answer.status] += 1
    if answer.status == HTTPStatus.CREATED:
        probed.seconds.append(time.perf_counter() - began)


async def _watch(client: aiohttp.ClientSession, probed: Probed, end: float) -> None:
    """Ask whether the service is ready, as who runs it does."""
    while time.monotonic() < end:
        began = time.perf_counter()
        async with client.get("/health/ready") as answer:
            probed.ready[answer.status] += 1
        probed.ready_seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.25)


@contextmanager
def _sockets(port: int) -> Iterator[None]:
    """Hold many sockets open, from another process, which has files of its own."""
    command = [sys.executable, "-m", "benchmarks.service.sockets", HOST, str(port), str(SOCKETS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as holding:
        try:
            if holding.stdout is None or holding.stdout.readline().strip() != str(SOCKETS).encode():
                raise UnavailableError(f"{SOCKETS:,} sockets could not be opened", hint="see ulimit -Hn")
            yield
        finally:
            holding.kill()


@asynccontextmanager
async def _slow_clients(port: int, count: int) -> AsyncIterator[None]:
    """Hold sockets that send a request a byte at a time; who is cut off comes again."""

    async def crawl() -> None:
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(HOST, port)
                writer.write(b"POST /v1/decisions HTTP/1.1\r\nx-slow: ")
                while not writer.is_closing():
                    await asyncio.sleep(1)
                    writer.write(b"x")
                    await writer.drain()
            await asyncio.sleep(1)

    crawling = [asyncio.create_task(crawl()) for _ in range(count)]
    try:
        yield
    finally:
        for task in crawling:
            task.cancel()
        await asyncio.gather(*crawling, return_exceptions=True)
