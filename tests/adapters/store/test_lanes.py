"""Two transactions of one recorder may be in flight together; what is recorded is what one at a time would record."""

from __future__ import annotations

import asyncio
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.stores import held, new_store, submission

from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import PostgresRecorder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obligor.serving.acts import Recorded

PATIENT = Bounds(patience_s=60)
IN_FLIGHT = """SELECT split_part(query, ' ', 1), wait_event FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'obligor recorder'"""


@contextmanager
def slow(server: str) -> Iterator[tuple[str, psycopg.Connection]]:
    """Make a store whose sessions take a tenth of a second for each commit; give it, and a session that was before."""
    with new_store(server) as store_url, psycopg.connect(store_url, autocommit=True) as owner:
        ((name,),) = owner.execute("SELECT quote_ident(current_database())").fetchall()
        owner.execute(f"ALTER DATABASE {name} SET commit_delay = 100000")
        owner.execute(f"ALTER DATABASE {name} SET commit_siblings = 0")
        assert owner.execute("SHOW fsync").fetchall() == [("on",)]  # else no commit waits
        yield store_url, owner


async def waits_for_the_head(owner: psycopg.Connection, answers: list[asyncio.Task[Recorded]]) -> bool:
    while not all(answer.done() for answer in answers):
        if ("SELECT", "transactionid") in await asyncio.to_thread(lambda: owner.execute(IN_FLIGHT).fetchall()):
            return True
    return False


def test_while_the_disk_writes_one_batch_the_next_is_inserted_and_waits_for_the_head(embedded_postgres: str) -> None:
    async def run(store_url: str, owner: psycopg.Connection) -> tuple[bool, list[Recorded]]:
        async with PostgresRecorder(store_url, bounds=PATIENT) as recorder:
            await recorder.record(submission("before"))
            answers = [asyncio.create_task(recorder.record(submission(f"key {place}"))) for place in range(64)]
            overlapped = await waits_for_the_head(owner, answers)
            return overlapped, await asyncio.gather(*answers)

    with slow(embedded_postgres) as (store_url, owner):
        overlapped, answers = asyncio.run(run(store_url, owner))
        assert len(held(store_url).leaves) == 65
    assert overlapped
    assert sorted(answer.leaf_index for answer in answers) == list(range(1, 65))


def test_what_follows_a_batch_that_another_process_overtook_is_recorded_after_it(store_url: str) -> None:
    async def run() -> list[list[Recorded]]:
        async with PostgresRecorder(store_url, bounds=PATIENT) as one, PostgresRecorder(store_url) as other:
            await one.record(submission("first"))
            await other.record(submission("overtakes"))
            return [
                await asyncio.gather(*(one.record(submission(f"{turn} {place}")) for place in range(100)))
                for turn in range(3)
            ]

    answers = [each.leaf_index for turn in asyncio.run(run()) for each in turn]
    assert sorted(answers) == list(range(2, 302))
    assert len(held(store_url).leaves) == 302


@pytest.mark.parametrize("keyed", [True, False])
def test_two_recorders_whose_connections_are_cut_all_the_time_record_each_act_once(
    store_url: str,
    keyed: bool,  # noqa: FBT001
) -> None:
    """An act without a key can be found again by nothing but its leaf."""
    chance = random.Random(7)  # noqa: S311

    async def client(recorder: PostgresRecorder, name: str, stop: asyncio.Event) -> int:
        made = 0
        while not stop.is_set():
            await recorder.record(submission(f"{name} {made}" if keyed else None))
            made += 1
        return made

    async def cut(stop: asyncio.Event) -> None:
        async with await psycopg.AsyncConnection.connect(store_url, autocommit=True) as owner:
            for _ in range(25):
                await asyncio.sleep(chance.uniform(0.01, 0.1))
                await owner.execute(
                    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
                    AND application_name = 'obligor recorder' ORDER BY md5(pid::text || %s) LIMIT 1""",
                    (str(chance.random()),),
                )
        stop.set()

    async def run() -> int:
        stop = asyncio.Event()
        async with (
            PostgresRecorder(store_url, bounds=PATIENT) as one,
            PostgresRecorder(store_url, bounds=PATIENT) as other,
        ):
            clients = [client((one, other)[place % 2], str(place), stop) for place in range(80)]
            made = await asyncio.gather(*clients, cut(stop))
            return sum(count for count in made if count is not None)

    made = asyncio.run(run())
    assert made > 80
    assert len(held(store_url).leaves) == made


def test_recorders_that_write_together_never_wait_for_each_other_in_a_ring(store_url: str) -> None:
    """Whoever inserts has the turn; without it one could hold the head and want leaves that the other inserted."""

    async def client(recorder: PostgresRecorder) -> None:
        for _ in range(20):
            await recorder.record(submission())

    async def run() -> None:
        async with PostgresRecorder(store_url) as one, PostgresRecorder(store_url) as other:
            await asyncio.gather(*(client((one, other)[place % 2]) for place in range(120)))

    with psycopg.connect(store_url, autocommit=True) as watching:
        asyncio.run(run())
        watching.execute("SELECT pg_stat_force_next_flush(), pg_stat_clear_snapshot()")
        found = watching.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert found.fetchall() == [(0,)]
    assert len(held(store_url).leaves) == 120 * 20


def test_what_is_no_decision_is_in_flight_alone(embedded_postgres: str) -> None:
    """Whatever depends on what was done before it must see all of it, and be seen by all that follows."""

    async def run(store_url: str) -> tuple[set[tuple[int, bool]], list[Recorded]]:
        async with PostgresRecorder(store_url, bounds=PATIENT) as recorder:
            await recorder.record(submission("before"))
            before = [asyncio.create_task(recorder.record(submission(f"a {place}"))) for place in range(50)]
            apart = asyncio.create_task(recorder.record(submission("apart", kind="held")))
            after = [asyncio.create_task(recorder.record(submission(f"b {place}"))) for place in range(50)]
            answers, seen = [*before, apart, *after], set()
            while not all(answer.done() for answer in answers):
                seen.add((len(recorder._flights), any(flight.alone for flight in recorder._flights)))
                await asyncio.sleep(0.001)
            return seen, await asyncio.gather(*answers)

    with slow(embedded_postgres) as (store_url, _):
        seen, answers = asyncio.run(run(store_url))
        assert len(held(store_url).leaves) == 102
    assert (1, True) in seen
    assert (2, True) not in seen
    assert sorted(answer.leaf_index for answer in answers) == list(range(1, 102))
