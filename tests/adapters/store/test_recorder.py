"""Decisions are recorded together with their leaf and their answer, once, in one order."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.stores import NOW, held, submission

from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proofs import PostgresLog
from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import _STATEMENTS, PostgresRecorder
from obligor.core.errors import (
    InFlightError,
    IntegrityError,
    InvalidInputError,
    KeyReusedError,
    ObligorError,
    UnavailableError,
)
from obligor.serving.acts import Recorded, Submission


async def record_all(url: str, submissions: list[Submission]) -> list[Recorded | BaseException]:
    """Record at the same time; give the answer or the error of each."""
    async with PostgresRecorder(url) as recorder:
        return await asyncio.gather(*(recorder.record(each) for each in submissions), return_exceptions=True)


def recorded(url: str, *submissions: Submission) -> list[Recorded]:
    found = asyncio.run(record_all(url, list(submissions)))
    assert [each for each in found if not isinstance(each, Recorded)] == []
    return [each for each in found if isinstance(each, Recorded)]


def failed(url: str, *submissions: Submission) -> list[BaseException]:
    return [each for each in asyncio.run(record_all(url, list(submissions))) if isinstance(each, BaseException)]


def test_a_decision_is_kept_with_its_leaf_its_record_and_its_answer(store_url: str) -> None:
    wanted = submission("first", application="loan 7")
    (answer,) = recorded(store_url, wanted)
    store = held(store_url)
    assert answer == Recorded(wanted.respond(0), 201, replayed=False, leaf_index=0)
    assert [leaf["record"] for leaf in store.leaves] == [wanted.acts[0].record]
    (decision,), (request,) = store.decisions, store.requests
    assert (decision["application_id"], decision["outcome"], decision["score"]) == ("loan 7", "approve", 512_345)
    assert decision["decided_at"] == NOW
    assert (request["response"], request["status"], request["leaf_index"]) == (answer.response, 201, 0)


def test_the_same_request_sent_again_is_answered_with_the_same_bytes(store_url: str) -> None:
    (first,) = recorded(store_url, submission("once"))
    (again,) = recorded(store_url, submission("once"))
    assert again == replace(first, replayed=True)
    assert len(held(store_url).decisions) == 1


def test_a_key_with_another_payload_is_refused(store_url: str) -> None:
    recorded(store_url, submission("once"))
    (error,) = failed(store_url, submission("once", payload=b"other"))
    assert isinstance(error, KeyReusedError)
    assert len(held(store_url).leaves) == 1


def test_another_client_may_use_the_same_key(store_url: str) -> None:
    answers = recorded(store_url, submission("once"), submission("once", client="other"))
    assert {answer.replayed for answer in answers} == {False}
    assert len(held(store_url).decisions) == 2


def test_sixty_four_requests_with_one_key_are_one_decision(store_url: str) -> None:
    async def insist(recorder: PostgresRecorder) -> Recorded:
        while True:
            try:
                return await recorder.record(submission("one"))
            except InFlightError:
                await asyncio.sleep(0.002)

    async def run() -> list[Recorded]:
        async with PostgresRecorder(store_url) as one, PostgresRecorder(store_url) as other:
            return await asyncio.gather(*(insist((one, other)[place % 2]) for place in range(64)))

    answers = asyncio.run(run())
    store = held(store_url)
    assert (len(store.leaves), len(store.decisions), len(store.requests)) == (1, 1, 1)
    assert len({answer.response for answer in answers}) == 1
    assert sum(not answer.replayed for answer in answers) == 1


def test_a_request_is_in_flight_until_it_is_answered(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            first = asyncio.create_task(recorder.record(submission("one")))
            await asyncio.sleep(0)
            with pytest.raises(InFlightError):
                await recorder.record(submission("one"))
            await first
            assert (await recorder.record(submission("one"))).replayed

    asyncio.run(run())


def test_a_thousand_decisions_at_once_are_one_tree(store_url: str) -> None:
    answers = recorded(store_url, *(submission(f"key {place}") for place in range(1000)))
    assert sorted(answer.leaf_index for answer in answers) == list(range(1000))
    assert len(held(store_url).decisions) == 1000


WRITER = """
import asyncio, sys
from obligor.adapters.store.recorder import PostgresRecorder
from tests.stores import submission
async def run(url, name):
    async with PostgresRecorder(url) as recorder:
        await recorder.record(submission(f"{name} first"))
        print("connected", flush=True)
        await asyncio.to_thread(sys.stdin.readline)  # both begin together
        async def client(first):
            for place in range(first, 1000, 20):
                await recorder.record(submission(f"{name} {place}"))
        await asyncio.gather(*(client(first) for first in range(20)))
asyncio.run(run(*sys.argv[1:]))
"""


def writer(url: str, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WRITER, url, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def test_two_processes_write_one_tree_without_a_fork(store_url: str) -> None:
    with writer(store_url, "one") as one, writer(store_url, "other") as other:
        assert [it.stdout and it.stdout.readline() for it in (one, other)] == [b"connected\n"] * 2
        for it in (one, other):
            assert it.stdin
            it.stdin.close()
    assert [one.returncode, other.returncode] == [0, 0]
    store = held(store_url)
    assert len(store.leaves) == 2002
    keys = [request["key"].split()[0] for request in store.requests]
    assert sum(before != after for before, after in pairwise(keys)) > 1  # they took turns


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batches=st.lists(st.lists(st.integers(1, 300), min_size=1, max_size=4), min_size=1, max_size=4))
def test_the_tree_is_the_same_however_acts_come_together(store_url: str, batches: list[list[int]]) -> None:
    with psycopg.connect(store_url) as connection:
        (before,) = connection.execute("SELECT size FROM obligor.tree_head").fetchone() or (-1,)
    for batch in batches:
        bulk = [Submission(tuple(submission().acts[0] for _ in range(acts)), lambda _: b"") for acts in batch]
        recorded(store_url, *bulk)
    assert len(held(store_url).leaves) == before + sum(map(sum, batches))


def test_acts_of_one_submission_follow_each_other(store_url: str) -> None:
    bulk = Submission(tuple(submission().acts[0] for _ in range(700)), lambda first: str(first).encode())
    answers = recorded(store_url, submission(), bulk, submission())
    assert [answer.leaf_index for answer in answers] == [0, 1, 701]
    assert len(held(store_url).leaves) == 702


def test_time_in_the_log_never_goes_back(store_url: str) -> None:
    recorded(store_url, submission(at=NOW))
    recorded(store_url, submission(at=NOW - timedelta(hours=2)), submission(at=NOW + timedelta(hours=1)))
    store = held(store_url)
    said = [json.loads(leaf["body"])["at"] for leaf in store.leaves]
    assert said == ["2026-11-26T12:00:00.000000Z", "2026-11-26T12:00:00.000000Z", "2026-11-26T13:00:00.000000Z"]
    assert [row["decided_at"] for row in store.decisions][1] == NOW - timedelta(hours=2)


def test_a_recorder_knows_the_time_of_the_log_whatever_its_own_clock_says(store_url: str) -> None:
    recorded(store_url, submission("first", at=NOW))

    async def late() -> list[datetime | None]:
        pool = Pool(store_url)
        async with PostgresRecorder(store_url) as recorder:
            known = [await PostgresLog(pool).latest(), recorder.latest]
            await recorder.record(submission("second", at=NOW - timedelta(days=2)))
            await pool.close()
            return [*known, recorder.latest]

    assert asyncio.run(late()) == [NOW, None, NOW]


def test_the_fault_of_one_submission_is_nobody_elses(store_url: str) -> None:
    twice = uuid4()

    def refuse(_: int) -> bytes:
        raise ZeroDivisionError

    found = asyncio.run(
        record_all(
            store_url,
            [
                submission("good"),
                submission("nul", application="a\0b"),
                submission("twice", decision_id=twice),
                submission("twice again", decision_id=twice),
                replace(submission("no answer"), respond=refuse),
                submission("half a letter", application="\ud800"),
                submission("\0"),
                submission("good too"),
            ],
        )
    )
    assert [type(each) for each in found] == [
        *(Recorded, InvalidInputError, Recorded, IntegrityError, ZeroDivisionError, UnicodeEncodeError),
        *(InvalidInputError, Recorded),
    ]
    assert [request["key"] for request in held(store_url).requests] == ["good", "twice", "good too"]


def test_a_key_that_is_no_text_is_refused_before_it_is_queued(store_url: str) -> None:
    (error,) = failed(store_url, submission("\ud800"))
    assert isinstance(error, InvalidInputError)


def test_a_submission_without_an_act_is_refused(store_url: str) -> None:
    (error,) = failed(store_url, Submission((), lambda _: b""))
    assert isinstance(error, InvalidInputError)


def test_more_than_may_wait_is_refused_at_once(store_url: str) -> None:
    async def run() -> list[Recorded | BaseException]:
        async with PostgresRecorder(store_url, bounds=Bounds(waiting=10)) as recorder:
            waits = [recorder.record(submission(f"key {place}")) for place in range(30)]
            return await asyncio.gather(*waits, return_exceptions=True)

    found = asyncio.run(run())
    assert sum(isinstance(each, Recorded) for each in found) == 10
    assert {type(each) for each in found if isinstance(each, BaseException)} == {UnavailableError}
    assert len(held(store_url).requests) == 10


def test_who_gives_up_before_it_began_is_not_recorded(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            wait = asyncio.create_task(recorder.record(submission("one")))
            await asyncio.sleep(0)
            wait.cancel()
            with pytest.raises(asyncio.CancelledError):
                await wait
            answer = await recorder.record(submission("one"))
            assert not answer.replayed

    asyncio.run(run())
    assert len(held(store_url).leaves) == 1


def test_what_waits_is_recorded_before_the_end(store_url: str) -> None:
    async def run() -> list[Recorded]:
        async with PostgresRecorder(store_url) as recorder:
            waits = [asyncio.create_task(recorder.record(submission(f"key {place}"))) for place in range(50)]
            await asyncio.sleep(0)
        with pytest.raises(UnavailableError):
            await recorder.record(submission("late"))
        return [await wait for wait in waits]

    assert len(asyncio.run(run())) == 50
    assert len(held(store_url).leaves) == 50


def test_no_act_without_a_leaf(store_url: str) -> None:
    """Where the log cannot be written, nothing is (A1)."""
    with psycopg.connect(store_url, autocommit=True) as owner:
        role = f"writer_{uuid4().hex[:8]}"
        owner.execute(f"CREATE ROLE {role} LOGIN")
        owner.execute(f"GRANT USAGE ON SCHEMA obligor TO {role}")
        owner.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA obligor TO {role}")
        as_writer = store_url.replace("://obligor@", f"://{role}@").replace("://postgres@", f"://{role}@")
        recorded(as_writer, submission("before"))
        owner.execute(f"REVOKE INSERT ON obligor.leaf FROM {role}")
        errors = failed(as_writer, *(submission(f"key {place}") for place in range(5)))
        assert [type(error) for error in errors] == [UnavailableError] * 5
        store = held(store_url)
        assert (len(store.leaves), len(store.decisions), len(store.requests)) == (1, 1, 1)
        owner.execute(f"GRANT INSERT ON obligor.leaf TO {role}")
        recorded(as_writer, submission("key 0"))
        owner.execute(f"DROP OWNED BY {role}")
        owner.execute(f"DROP ROLE {role}")


@pytest.mark.parametrize("change", ["UPDATE {} SET body = '\\x'", "DELETE FROM {}", "TRUNCATE {}"])
@pytest.mark.parametrize("table", ["obligor.leaf", "obligor.record"])
def test_rows_of_the_log_are_not_changed_even_by_their_owner(store_url: str, table: str, change: str) -> None:
    recorded(store_url, submission())
    with psycopg.connect(store_url) as owner:
        owner.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation):
            owner.execute(change.format(table))
    held(store_url)


def test_a_look_up_never_reads_a_whole_table(store_url: str) -> None:
    """A plan lives as long as the connection, and is made while the store may be empty."""
    with psycopg.connect(PostgresRecorder(store_url)._info) as connection:
        for statement in _STATEMENTS:
            if not statement.sql.startswith(("BEGIN", "COMMIT", "ROLLBACK")):
                connection.pgconn.prepare(statement.name.encode(), statement.sql.encode(), statement.types)
                nothing = ", ".join(["NULL"] * len(statement.types))
                given = f"({nothing})" if nothing else ""
                plan = connection.execute(f"EXPLAIN EXECUTE {statement.name}{given}".encode()).fetchall()
                assert [line for (line,) in plan if "Seq Scan" in line] == [], statement.name


def test_an_error_tells_no_password_and_no_value(store_url: str) -> None:
    with pytest.raises(ObligorError) as told:
        PostgresRecorder("postgresql://me:secret@host:not-a-port:1/db?x")
    assert "secret" not in str(told.value)
    (error,) = failed(store_url, submission("nul", application="Maria\0"))
    assert "Maria" not in str(error)


def test_the_times_of_acts_keep_their_microseconds(store_url: str) -> None:
    at = datetime(2026, 11, 26, 23, 59, 59, 999_999, tzinfo=UTC)
    recorded(store_url, submission(at=at))
    assert held(store_url).decisions[0]["decided_at"] == at
