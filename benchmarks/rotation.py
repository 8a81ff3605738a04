"""A rotation of the keys of subjects while a service decides, killed in the middle and begun again.

A service decides at a fixed rate on applications with personal fields, each of a person of their own. Meanwhile
``obligor keys rotate --data`` wraps the keys that were there before anew; it is killed (SIGKILL) once a third is done, and run
again. No decision may fail, no key may be left behind, and every key must open.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import psycopg

from benchmarks.service.database import Database
from benchmarks.service.lender import PERSONAL, personal_bodies, write_run
from benchmarks.service.servers import HOST, Lender, free_port
from obligor.adapters.kms.file import open_file_kms
from obligor.adapters.store.privacy import KEYRING, SUBJECT_KEYS
from obligor.security.sealing import KeptKey, Keyring, Wrapped, open_keyring

if TYPE_CHECKING:
    from benchmarks.service.servers import Server

_ROWS, _QUICK_ROWS = 1_000_000, 20_000
_RATE: Final = 500
"""Decisions in a second."""
_AT_ONCE: Final = 64
_KILL_AT: Final = 0.67
"""What is still to be done when the rotation is killed."""
_PATIENCE_S: Final = 30
_PATH: Final = "/v1/decisions"


@dataclass
class _Seen:
    """What the clients of the service saw."""

    statuses: Counter[int | str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    behind: int = 0
    """Requests that began later than the rate asks, as all clients were busy."""


def run(*, quick: bool, rows: int | None = None, rate: int = _RATE) -> dict[str, Any]:
    """Make keys for so many subjects, and rotate under load."""
    rows = rows or (_QUICK_ROWS if quick else _ROWS)
    with tempfile.TemporaryDirectory(prefix="obligor-rotation-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with Database(folder / "database") as database:
            lender = Lender(folder / "data", write_run(folder / "run", identifiers=PERSONAL), database.url)
            service = lender.service(port := free_port(), "--no-grpc")
            service.start()
            try:
                _fill(database.url, _ring(lender, database.url), rows)
                result, seen = asyncio.run(_rotated(lender, service, database.url, port=port, rate=rate, rows=rows))
            finally:
                service.kill()
            result |= _opened(database.url, _ring(lender, database.url))
    failed = sum(count for status, count in seen.statuses.items() if status != 201)
    spread = sorted(seen.seconds)
    result = {"rows": rows, "rate": rate, "decisions": len(spread), "errors": failed, "late": seen.behind, **result}
    result |= {"p50_ms": _ms(spread, 0.5), "p99_ms": _ms(spread, 0.99)}
    print(
        f"{result['wrapped']:,} keys wrapped anew in {result['seconds']} s beside {len(spread):,} decisions, {failed} failed; "
        f"killed once with {result['left_at_kill']:,} to do; {result['behind']:,} left behind, {result['shut']:,} do not open"
    )
    return result


async def _rotated(
    lender: Lender, service: Server, url: str, *, port: int, rate: int, rows: int
) -> tuple[dict[str, Any], _Seen]:
    seen, stop = _Seen(), asyncio.Event()
    loading = asyncio.create_task(_load(port, service.api_key(), rate=rate, until=stop, seen=seen))
    await asyncio.sleep(1)
    began = time.perf_counter()
    left = await asyncio.to_thread(_killed, lender, url, rows)
    done = await asyncio.to_thread(lender.obligor, "keys", "rotate", "--data")
    seconds = time.perf_counter() - began
    await asyncio.sleep(1)
    stop.set()
    await loading
    told = {"wrapped": rows, "seconds": round(seconds, 1), "rows_per_second": round(rows / seconds)}
    return told | {"left_at_kill": left, "said": done.stdout.strip()}, seen


def _killed(lender: Lender, url: str, rows: int) -> int:
    """Begin a rotation, kill it once a third is done, and give how many keys are left to do."""
    command = [*lender.command, "keys", "rotate", "--data"]
    rotating = subprocess.Popen(command, env=lender.environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with psycopg.connect(url, autocommit=True) as connection:
        while rotating.poll() is None:
            left = _behind(connection)
            if 0 < left < _KILL_AT * rows:
                break
            time.sleep(0.01)
        rotating.kill()
        rotating.wait()
        return _behind(connection)


def _behind(connection: psycopg.Connection[Any]) -> int:
    """Count the keys that the newest version does not wrap, among those that were there before."""
    row = connection.execute(
        "SELECT count(*) FROM obligor.subject_key WHERE version < (SELECT max(version) FROM obligor.keyring)"
    ).fetchone()
    return int(row[0]) if row else 0


async def _load(port: int, key: str, *, rate: int, until: asyncio.Event, seen: _Seen) -> None:
    """Send requests at a rate; one that finds no client free is late, and sent all the same."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connector, patience = aiohttp.TCPConnector(limit=_AT_ONCE), aiohttp.ClientTimeout(_PATIENCE_S)
    bodies, tasks, count = personal_bodies(), set[asyncio.Task[None]](), 0
    async with aiohttp.ClientSession(
        f"http://{HOST}:{port}", headers=headers, connector=connector, timeout=patience
    ) as client:
        began = time.perf_counter()
        while not until.is_set():
            due = int((time.perf_counter() - began) * rate)
            for number in range(count, due):
                seen.behind += len(tasks) >= _AT_ONCE
                task = asyncio.create_task(_send(client, f"key-{number}", bodies(number), seen))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            count = max(count, due)
            await asyncio.sleep(0.002)
        await asyncio.gather(*tasks)


async def _send(client: aiohttp.ClientSession, key: str, body: bytes, seen: _Seen) -> None:
    began = time.perf_counter()
    try:
        async with client.post(_PATH, data=body, headers={"Idempotency-Key": key}) as answer:
            await answer.read()
            seen.statuses[answer.status] += 1
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        seen.statuses[type(error).__name__] += 1
    seen.seconds.append(time.perf_counter() - began)


def _ring(lender: Lender, url: str) -> Keyring:
    """Open the keys of the deployment, as its service does."""
    kms = open_file_kms(lender.data / "keys" / "data-master.key", production=False)
    with psycopg.connect(url, autocommit=True) as connection:
        kept = [KeptKey(*row) for row in connection.execute(KEYRING.encode())]
    return open_keyring(kept, kms, random=os.urandom)


def _fill(url: str, ring: Keyring, rows: int) -> None:
    """Put so many keys into the store."""
    copy = "COPY obligor.subject_key (key_id, subject, version, wrapped, created_at) FROM STDIN"
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor() as cursor, cursor.copy(copy) as writing:
            for at in range(rows):
                key, wrapped = ring.new_data_key(ring.subject("person", f"before {at}"))
                row = (key.key_id, key.subject, wrapped.version, wrapped.wrapped, "2026-11-26T00:00:00Z")
                writing.write_row(row)
        connection.execute("VACUUM ANALYZE obligor.subject_key")


def _opened(url: str, ring: Keyring) -> dict[str, int]:
    """Open every key, of before and of the decisions made meanwhile."""
    keys = shut = 0
    with psycopg.connect(url) as connection:
        behind = _behind(connection)
        with connection.cursor("every_key") as cursor:
            cursor.execute(SUBJECT_KEYS.encode())
            for key_id, subject, version, wrapped in cursor:
                keys += 1
                try:
                    ring.unwrap(Wrapped(version, wrapped), key_id=key_id, subject=subject)
                except Exception:  # noqa: BLE001  whatever it is, it does not open
                    shut += 1
    return {"keys": keys, "behind": behind, "shut": shut, "min_version": ring.min_version}


def _ms(spread: list[float], part: float) -> float | None:
    return round(1000 * spread[min(len(spread) - 1, int(part * len(spread)))], 1) if spread else None
