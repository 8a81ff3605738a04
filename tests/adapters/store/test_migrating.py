"""The store grows by steps that only add, one process at a time, whole or not at all."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.stores import held, of_database, submission

from obligor.adapters.store.migrating import NEWEST, downgrade, migrate, revision, upgrade
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPS = ("obligor.adapters.store:migrations/versions", str(Path(__file__).parent / "later_steps"))
LATER = "9001"


@pytest.fixture
def empty_url(server: str) -> Iterator[str]:
    """A database without a table."""
    name = f"empty_{uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
        yield of_database(server, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def record(url: str, key: str) -> bytes:
    async def run() -> bytes:
        async with PostgresRecorder(url) as recorder:
            return (await recorder.record(submission(key))).response

    return asyncio.run(run())


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'obligor'").fetchall()
    return {row[0] for row in found}


def test_a_database_without_tables_gets_them(empty_url: str) -> None:
    assert revision(empty_url) is None
    migrate(empty_url)
    assert revision(empty_url) == NEWEST
    assert "leaf" in tables(empty_url)
    migrate(empty_url)


def test_the_tables_of_the_code_are_those_of_the_steps(store_url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import NullPool, create_engine

    from obligor.adapters.store.tables import METADATA, SCHEMA

    def connect() -> psycopg.Connection:  # a user of the schema's name would find it without asking
        return psycopg.connect(store_url, options="-c search_path=public")

    engine = create_engine("postgresql+psycopg://", creator=connect, poolclass=NullPool)
    with engine.connect() as connection:
        options = {"include_schemas": True, "version_table_schema": SCHEMA, "compare_type": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), METADATA) == []


def test_the_newest_revision_is_the_last_step() -> None:
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", "obligor.adapters.store:migrations")
    config.set_main_option("path_separator", "newline")
    assert ScriptDirectory.from_config(config).get_current_head() == NEWEST


def test_alembic_is_not_loaded_where_nothing_is_left_to_do(store_url: str) -> None:
    code = (
        "import sys; from obligor.adapters.store.migrating import migrate; migrate(sys.argv[1]);"
        " sys.exit(bool({'alembic', 'sqlalchemy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, store_url], check=False, timeout=60).returncode == 0


def test_processes_that_start_at_once_migrate_once(empty_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        code = "import sys; from obligor.adapters.store.migrating import migrate; migrate(sys.argv[1])"
        run = lambda _: subprocess.run([sys.executable, "-c", code, empty_url], check=False, timeout=120)  # noqa: E731
        assert [done.returncode for done in threads.map(run, range(4))] == [0] * 4
    assert revision(empty_url) == NEWEST


def test_up_and_down_and_up_again_keeps_every_decision(store_url: str) -> None:
    answer = record(store_url, "before")
    upgrade(store_url, LATER, steps=STEPS)
    before = held(store_url)
    downgrade(store_url, NEWEST, steps=STEPS)
    assert "later" not in tables(store_url)
    upgrade(store_url, LATER, steps=STEPS)
    assert held(store_url).leaves == before.leaves
    assert record(store_url, "before") == answer


def test_old_code_runs_on_newer_tables_while_others_migrate(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            await recorder.record(submission("before"))
            await asyncio.to_thread(upgrade, store_url, LATER, steps=STEPS)
            await recorder.record(submission("after"))

    asyncio.run(run())
    assert revision(store_url) == LATER
    migrate(store_url)  # old code finds newer tables, and leaves them
    assert revision(store_url) == LATER
    record(store_url, "later")
    assert len(held(store_url).leaves) == 3


def test_a_migration_killed_half_way_has_changed_nothing(store_url: str) -> None:
    record(store_url, "before")
    code = (
        "import sys; from obligor.adapters.store.migrating import upgrade;"
        " upgrade(sys.argv[1], sys.argv[2], steps=sys.argv[3:])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store_url, LATER, *STEPS],
        env={"KILLED_AT": "half-way", "PYTHONPATH": ":".join(sys.path)},
        check=False,
        timeout=60,
    )
    assert done.returncode == -9
    assert revision(store_url) == NEWEST
    assert "later" not in tables(store_url)
    upgrade(store_url, LATER, steps=STEPS)
    record(store_url, "after")
    assert len(held(store_url).leaves) == 2


LARGE = [
    ("0021", "delivery_settled", "delivery"),
    ("0023", "leaf_releases", "leaf"),
    ("0025", "decision_held", "decision"),
]
"""Indexes on tables that are large, each with the revision before its step."""


def is_valid(url: str, index: str) -> bool | None:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (f"obligor.{index}",)
        ).fetchone()
    return None if found is None else found[0]


def until_made(url: str, index: str) -> int:
    """Wait until an index is being made, and give who makes it."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(300):
            found = connection.execute(
                "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' "
                "AND wait_event_type = 'Lock' AND query LIKE %s",
                (f"CREATE INDEX%{index}%",),
            ).fetchone()
            if found is not None:
                return int(found[0])
            sleep(0.1)
    raise AssertionError("the index was not waited for")


@pytest.mark.parametrize(("before", "index", "table"), LARGE)
def test_a_large_table_is_written_to_while_an_index_is_made(
    empty_url: str, before: str, index: str, table: str
) -> None:
    upgrade(empty_url, before)
    write = f"LOCK TABLE obligor.{table} IN ROW EXCLUSIVE MODE"  # what an INSERT takes
    with ThreadPoolExecutor() as threads, psycopg.connect(empty_url) as first:
        first.execute(write.encode())
        step = threads.submit(upgrade, empty_url, f"00{int(before) + 1}")
        until_made(empty_url, index)
        with psycopg.connect(empty_url, options="-c lock_timeout=2s") as second:
            second.execute(write.encode())
        assert not step.done()
        first.commit()
        step.result(60)
    assert is_valid(empty_url, index)


@pytest.mark.parametrize(("before", "index", "table"), LARGE)
def test_an_index_that_was_broken_off_is_made_again(empty_url: str, before: str, index: str, table: str) -> None:
    upgrade(empty_url, before)
    with ThreadPoolExecutor() as threads, psycopg.connect(empty_url) as writer:
        writer.execute(f"LOCK TABLE obligor.{table} IN ROW EXCLUSIVE MODE".encode())
        step = threads.submit(upgrade, empty_url, f"00{int(before) + 1}")
        writer.execute("SELECT pg_terminate_backend(%s)", (until_made(empty_url, index),))
        with pytest.raises(UnavailableError):
            step.result(60)
    assert (revision(empty_url), is_valid(empty_url, index)) == (before, False)
    migrate(empty_url)
    assert (revision(empty_url), is_valid(empty_url, index)) == (NEWEST, True)


def test_who_waits_for_another_process_says_so_in_the_end(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = count(step=20)
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    with psycopg.connect(empty_url, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", (0x0B1160,))
        with pytest.raises(UnavailableError, match="changed by another process"):
            migrate(empty_url)


def test_a_log_that_holds_acts_is_not_taken_away(store_url: str) -> None:
    record(store_url, "one")
    with pytest.raises(RuntimeError, match="holds acts"):
        downgrade(store_url, "base")
    assert len(held(store_url).leaves) == 1


def test_an_empty_log_may_go_and_come_again(empty_url: str) -> None:
    migrate(empty_url)
    downgrade(empty_url, "base")
    assert tables(empty_url) == {"alembic_version"}
    migrate(empty_url)
    record(empty_url, "one")
    assert len(held(empty_url).leaves) == 1


def test_a_database_that_does_not_answer_is_told_without_its_password() -> None:
    with pytest.raises(UnavailableError) as told:
        migrate("postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(told.value)
    with pytest.raises(InvalidInputError, match="OBLIGOR_DATABASE_URL"):
        migrate("mysql://me:secret@127.0.0.1/none")
