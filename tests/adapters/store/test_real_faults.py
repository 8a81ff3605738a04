"""Faults that PostgreSQL raises itself: a deadlock, a conflict of serializable sessions, a full disk, another server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.adapters.store.faults import Proxy
from tests.conftest import lack
from tests.stores import held, submission

from obligor.adapters.store.embedded import start_embedded
from obligor.adapters.store.migrating import migrate
from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import UnavailableError
from obligor.serving.acts import Recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENT, QUICK = Bounds(patience_s=60), Bounds(patience_s=2)


async def record(recorder: PostgresRecorder, *keys: str) -> list[Recorded | BaseException]:
    return await asyncio.gather(*(recorder.record(submission(key)) for key in keys), return_exceptions=True)


def deadlocks(connection: psycopg.Connection) -> int:
    ((count,),) = connection.execute(
        "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ).fetchall()
    return int(count)


def test_a_writer_that_loses_a_deadlock_records_everything_all_the_same(store_url: str) -> None:
    """Another session holds the decisions and wants the leaves, which the writer holds while it waits for the decisions."""

    async def run() -> list[Recorded | BaseException]:
        async with PostgresRecorder(store_url, bounds=PATIENT) as recorder:
            await recorder.record(submission("before"))
            with psycopg.connect(store_url) as other:
                other.execute("SET deadlock_timeout = '1h'")  # so that it is the writer who finds it, and gives way
                other.execute("LOCK obligor.decision IN EXCLUSIVE MODE")
                asked = asyncio.create_task(record(recorder, "one", "other", "third"))
                await asyncio.sleep(0.3)
                await asyncio.to_thread(other.execute, "LOCK obligor.leaf IN EXCLUSIVE MODE")
            return await asked

    with psycopg.connect(store_url, autocommit=True) as watching:
        before = deadlocks(watching)
        assert [type(answer) for answer in asyncio.run(run())] == [Recorded] * 3
        watching.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        assert deadlocks(watching) > before
    assert len(held(store_url).leaves) == 4


def test_a_serializable_session_that_meets_the_writer_fails_and_leaves_nothing(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            await recorder.record(submission("before"))
            with psycopg.connect(store_url) as other:
                other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
                ((size,),) = other.execute("SELECT size FROM obligor.tree_head").fetchall()
                await recorder.record(submission("between"))
                with pytest.raises(psycopg.errors.SerializationFailure):
                    other.execute("UPDATE obligor.tree_head SET size = %s", (size + 1,))
            await recorder.record(submission("after"))

    asyncio.run(run())
    assert len(held(store_url).leaves) == 3


def test_writers_of_a_database_that_is_serializable_by_default_record_everything(store_url: str) -> None:
    name = store_url.partition("?")[0].rpartition("/")[2]
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable".encode())

    async def run() -> None:
        async with PostgresRecorder(store_url) as one, PostgresRecorder(store_url) as other:
            for place in range(20):
                answers = await asyncio.gather(record(one, f"one {place}"), record(other, f"other {place}"))
                assert [type(answer) for each in answers for answer in each] == [Recorded] * 2

    asyncio.run(run())
    assert len(held(store_url).leaves) == 40


@contextmanager
def small_disk(url: str, megabytes: int) -> Iterator[str]:
    """Mount a small disk that the server's user may write to."""
    with psycopg.connect(url) as connection:
        ((data,),) = connection.execute("SHOW data_directory").fetchall()
    owner = Path(data).stat()
    with tempfile.TemporaryDirectory(prefix="obligor-disk-") as folder:
        options = f"size={megabytes}m,uid={owner.st_uid},gid={owner.st_gid},mode=700"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "obligor", folder], capture_output=True, text=True, check=False
        )
        if done.returncode:
            lack("mount", f"a small disk cannot be mounted here: {done.stderr.strip()}")
        Path(folder).parent.chmod(0o1777)
        try:
            yield folder
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_told_as_unavailable_and_once_there_is_room_all_goes_on(store_url: str) -> None:
    """The records lie on a disk of two megabytes, which somebody else's table has filled."""
    with small_disk(store_url, 2) as disk, psycopg.connect(store_url, autocommit=True) as owner:
        space = f"small_{os.urandom(4).hex()}"
        owner.execute(f"CREATE TABLESPACE {space} LOCATION '{disk}'".encode())
        try:
            owner.execute(f"ALTER TABLE obligor.record SET TABLESPACE {space}".encode())
            owner.execute(f"CREATE TABLE filler (it text) TABLESPACE {space}".encode())
            asyncio.run(fill_and_record(store_url, owner))
        finally:
            owner.execute("DROP TABLE IF EXISTS filler")
            owner.execute("ALTER TABLE obligor.record SET TABLESPACE pg_default")
            owner.execute(f"DROP TABLESPACE {space}".encode())
    store = held(store_url)
    assert len(store.leaves) == len(store.requests) == 200 + 1


def fill(owner: psycopg.Connection) -> None:
    """Fill the disk to the last page."""
    for _ in range(1000):
        owner.execute("INSERT INTO filler SELECT repeat('x', 1000) FROM generate_series(1, 8)")


async def fill_and_record(url: str, owner: psycopg.Connection) -> None:
    async with PostgresRecorder(url, bounds=QUICK) as recorder:
        await recorder.record(submission("before"))
        with pytest.raises(psycopg.errors.DiskFull):
            fill(owner)
        keys = [f"key {place}" for place in range(200)]
        errors = await record(recorder, *keys)
        assert {type(error) for error in errors} == {UnavailableError}
        owner.execute("DROP TABLE filler")
        assert {type(answer) for answer in await record(recorder, *keys)} == {Recorded}


def stop(folder: Path) -> None:
    """Take a server away at once, without letting anybody finish."""
    server = int((folder / "postmaster.pid").read_text().split()[0])
    os.kill(server, signal.SIGQUIT)
    while (folder / "postmaster.pid").exists():
        time.sleep(0.02)


def test_another_server_that_takes_over_goes_on_with_every_answered_decision() -> None:
    """One server dies under load, another with what it had on disk stands up elsewhere, and the address leads there."""
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        first = start_embedded(folder / "first")
        migrate(first.url)

        async def run() -> dict[str, bytes]:
            told: dict[str, bytes] = {}
            some = asyncio.Event()

            async def insist(key: str) -> None:
                while key not in told:
                    try:
                        told[key] = (await recorder.record(submission(key))).response
                    except UnavailableError:
                        await asyncio.sleep(0.05)
                    if len(told) == 40:
                        some.set()

            async with (
                Proxy(first.url, folder) as proxy,
                PostgresRecorder(proxy.url, bounds=Bounds(patience_s=1.0, batch=16)) as recorder,
            ):
                clients = asyncio.gather(*(insist(f"key {place}") for place in range(300)))
                await some.wait()
                await asyncio.to_thread(stop, folder / "first")
                await asyncio.to_thread(subprocess.run, ["cp", "-a", folder / "first", folder / "second"], check=True)
                second = await asyncio.to_thread(start_embedded, folder / "second")
                proxy.lead_to(second.url)
                await asyncio.wait_for(clients, 60)
                found = held(second.url)
                second.close()
            assert len(found.leaves) == 300
            assert {request["key"]: bytes(request["response"]) for request in found.requests} == told
            return told

        assert len(asyncio.run(run())) == 300
        first.close()
