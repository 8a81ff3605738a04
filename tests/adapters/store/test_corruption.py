"""A page of the store that the disk gave back otherwise than it was written: refused, and never a default."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.lending import lending
from tests.stores import submission

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.embedded import start_embedded
from obligor.adapters.store.migrating import migrate
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = 8192


class Disk:
    """An embedded server that can be stopped, so that a page of a table is changed beneath it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = start_embedded(folder)
        migrate(self.server.url)

    def flip_a_bit(self, relation: str) -> None:
        """Change one bit in the last page of a table, or of an index."""
        with psycopg.connect(self.server.url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")
            ((place,),) = connection.execute("SELECT pg_relation_filepath(%s)", (relation,)).fetchall()
        server = int((self._folder / "postmaster.pid").read_text().split()[0])
        os.kill(server, signal.SIGINT)
        while (self._folder / "postmaster.pid").exists():
            time.sleep(0.02)
        path = self._folder / place
        body = bytearray(path.read_bytes())
        body[-100] ^= 1
        path.write_bytes(bytes(body))
        self.server.close()
        self.server = start_embedded(self._folder)


@pytest.fixture
def disk() -> Iterator[Disk]:
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        made = Disk(Path(name) / "postgres")
        yield made
        made.server.close()


def decide(url: str) -> None:
    async def decided() -> None:
        async with lending(url) as lender:
            await lender.decide(3)

    asyncio.run(decided())


def test_a_card_on_a_page_that_is_damaged_is_not_opened(disk: Disk) -> None:
    decide(disk.server.url)
    disk.flip_a_bit("obligor.artefact")

    async def opened() -> None:
        pool = Pool(disk.server.url)
        try:
            with pytest.raises(UnavailableError):
                await PostgresArchive(pool).release()
        finally:
            await pool.close()

    asyncio.run(opened())


@pytest.mark.parametrize("table", ["obligor.tree_head", "obligor.request_pkey"])
def test_a_log_on_a_page_that_is_damaged_takes_no_decision(disk: Disk, table: str) -> None:
    decide(disk.server.url)
    disk.flip_a_bit(table)

    async def refused() -> None:
        async with PostgresRecorder(disk.server.url, bounds=Bounds(patience_s=1.0)) as recorder:
            with pytest.raises(UnavailableError):
                await recorder.record(submission("after"))

    asyncio.run(refused())
