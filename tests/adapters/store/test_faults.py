"""Whatever breaks, a decision is recorded once and whole, or not at all; and nobody is told otherwise."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.adapters.store.faults import Fault, Proxy
from tests.stores import held, submission

from obligor.adapters.store.embedded import start_embedded
from obligor.adapters.store.migrating import migrate
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import UnavailableError
from obligor.serving.acts import Recorded

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

QUICK = Bounds(patience_s=1.0)

# kill -9 at named points of a transaction (F1)

KILLED = """
import asyncio, os, signal, sys
from obligor.adapters.store.queueing import Bounds
from obligor.adapters.store import recorder
from obligor.adapters.store.wire import Wire
from tests.stores import submission
url, point = sys.argv[1:]
rounds, done, told = Wire.round, 0, 0
def die():
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
async def round(self, calls, **more):
    global done
    names = [name for name, _ in calls]
    if b"commit" in names:
        done += 1
        if done == 2:
            await asyncio.sleep(0.01)  # the answers of the first batch are told
            if point == "before the transaction":
                die()
            if point == "holding the head":
                await rounds(self, [*calls[:2], (b"lock", None)])
                die()
            if point == "before COMMIT":
                await rounds(self, calls[:names.index(b"commit")])
                die()
            if point == "COMMIT on its way":
                asyncio.get_running_loop().call_soon(die)
            if point == "after COMMIT":
                await rounds(self, calls)
                die()
    return await rounds(self, calls, **more)
Wire.round = round
async def main():
    async with recorder.PostgresRecorder(url, bounds=Bounds(batch=8)) as each:
        async def one(key):
            answer = await each.record(submission(key))
            global told
            print(key, answer.response.decode(), sep="\\t", flush=True)
            told += 1
            if point == "before the second answer" and told == 9:
                die()
        await asyncio.gather(*(one(f"key {place}") for place in range(32)))
asyncio.run(main())
"""
POINTS = (
    *("before the transaction", "before COMMIT", "COMMIT on its way", "after COMMIT", "holding the head"),
    "before the second answer",
)


@pytest.mark.parametrize("point", POINTS)
def test_a_process_killed_in_the_middle_leaves_nothing_half(store_url: str, point: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, store_url, point], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    told = dict(line.split("\t") for line in done.stdout.splitlines())
    assert len(told) >= 8  # the first batch was answered
    assert set(told) <= {request["key"] for request in held(store_url).requests}

    async def send_again() -> list[Recorded]:
        async with PostgresRecorder(store_url) as recorder:
            return await asyncio.gather(*(recorder.record(submission(f"key {place}")) for place in range(32)))

    answers = asyncio.run(send_again())
    store = held(store_url)
    assert len(store.leaves) == len(store.decisions) == len(store.requests) == 32
    assert [answers[int(key.split()[1])].response.decode() for key in told] == list(told.values())


# The connection and the server (F2)


def behind(url: str, scene: Callable[[PostgresRecorder, Proxy], Awaitable[None]], bounds: Bounds = QUICK) -> None:
    """Play a scene with a recorder that speaks to the store through a proxy."""

    async def play() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with Proxy(url, Path(folder)) as proxy, PostgresRecorder(proxy.url, bounds=bounds) as recorder:
                await scene(recorder, proxy)

    asyncio.run(play())


async def at_once(recorder: PostgresRecorder, *keys: str) -> list[Recorded | BaseException]:
    return await asyncio.gather(*(recorder.record(submission(key)) for key in keys), return_exceptions=True)


@pytest.mark.parametrize("fault", ["lose COMMIT", "lose its answer"])
@pytest.mark.parametrize("keyed", [True, False], ids=["with a key", "without a key"])
def test_a_commit_that_nobody_answered_for_is_found_out(store_url: str, fault: Fault, keyed: bool) -> None:  # noqa: FBT001
    async def scene(recorder: PostgresRecorder, proxy: Proxy) -> None:
        await recorder.record(submission("before"))
        proxy.fault, proxy.times = fault, 1
        keys = [f"key {place}" if keyed else None for place in range(10)]
        answers = await asyncio.gather(*(recorder.record(submission(key)) for key in keys))
        assert proxy.times == 0
        assert [answer.replayed for answer in answers] == [False] * 10
        assert sorted(answer.leaf_index for answer in answers) == list(range(1, 11))

    behind(store_url, scene, Bounds())
    store = held(store_url)
    assert len(store.leaves) == len(store.decisions) == 11


def test_an_outcome_that_stays_unknown_is_told_as_unavailable_and_found_by_the_key(store_url: str) -> None:
    async def scene(recorder: PostgresRecorder, proxy: Proxy) -> None:
        proxy.fault, proxy.times, proxy.then = "lose its answer", 1, "down"
        (error,) = await at_once(recorder, "key")
        assert proxy.fault == "down"
        assert isinstance(error, UnavailableError)
        proxy.fault = "none"
        assert (await recorder.record(submission("key"))).replayed

    behind(store_url, scene)
    assert len(held(store_url).leaves) == 1


def test_a_store_that_is_down_is_told_in_time_and_comes_back_by_itself(store_url: str) -> None:
    async def scene(recorder: PostgresRecorder, proxy: Proxy) -> None:
        await recorder.record(submission("before"))
        proxy.fault = "down"
        proxy.cut()
        began = asyncio.get_running_loop().time()
        errors = await at_once(recorder, *(f"key {place}" for place in range(100)))
        assert {type(error) for error in errors} == {UnavailableError}
        assert asyncio.get_running_loop().time() - began < 30
        assert recorder.waiting == 0
        proxy.fault = "none"
        answers = await at_once(recorder, *(f"key {place}" for place in range(100)))
        assert [answer.replayed for answer in answers if isinstance(answer, Recorded)] == [False] * 100

    behind(store_url, scene)
    assert len(held(store_url).leaves) == 101


def test_a_short_break_is_not_noticed_by_who_waits(store_url: str) -> None:
    async def scene(recorder: PostgresRecorder, proxy: Proxy) -> None:
        proxy.fault = "down"
        waits = asyncio.create_task(at_once(recorder, *(f"key {place}" for place in range(10))))
        await asyncio.sleep(0.2)
        proxy.fault = "none"
        assert [type(answer) for answer in await waits] == [Recorded] * 10

    behind(store_url, scene, Bounds(patience_s=30))
    assert len(held(store_url).leaves) == 10


def test_a_store_that_is_too_slow_is_told_as_unavailable(store_url: str) -> None:
    async def scene(recorder: PostgresRecorder, proxy: Proxy) -> None:
        await recorder.record(submission("before"))
        proxy.fault, proxy.delay_s = "slow", 30
        (error,) = await at_once(recorder, "key")
        assert isinstance(error, UnavailableError)
        proxy.fault = "none"
        assert not (await recorder.record(submission("key"))).replayed

    behind(store_url, scene)
    assert len(held(store_url).leaves) == 2


def test_a_reader_waits_for_a_store_that_hangs_no_longer_than_it_said(store_url: str, tmp_path: Path) -> None:
    """And not once more for each thing that it waits for: a connection, an answer, and that the question is cancelled."""

    async def run() -> None:
        async with Proxy(store_url, tmp_path) as proxy:
            pool = Pool(proxy.url, most=1, patience_s=0.5)
            assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]
            proxy.fault, proxy.delay_s = "slow", 60.0
            async with asyncio.timeout(4):
                found = await asyncio.gather(*(pool.rows("SELECT 1") for _ in range(3)), return_exceptions=True)
            assert [type(it) for it in found] == [UnavailableError] * 3
            proxy.fault = "none"
            assert await pool.rows("SELECT 1 AS one") == [{"one": 1}]
            await pool.close()

    asyncio.run(run())


@pytest.mark.parametrize("lock", ["SELECT 1 FROM obligor.tree_head FOR UPDATE", "LOCK obligor.leaf IN EXCLUSIVE MODE"])
def test_a_lock_that_somebody_holds_for_long_is_told_as_unavailable(store_url: str, lock: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url, bounds=QUICK) as recorder:
            with psycopg.connect(store_url) as other:
                other.execute(lock)
                errors = await at_once(recorder, "one", "other")
                assert [type(error) for error in errors] == [UnavailableError] * 2
            assert [type(answer) for answer in await at_once(recorder, "one", "other")] == [Recorded] * 2

    asyncio.run(run())
    assert len(held(store_url).leaves) == 2


def test_a_store_that_may_only_be_read_is_told_as_unavailable(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url, bounds=QUICK) as recorder:
            await recorder.record(submission("before"))
            database = store_url.partition("?")[0].rpartition("/")[2]
            with psycopg.connect(store_url, autocommit=True) as owner:
                owner.execute(f"ALTER DATABASE {database} SET default_transaction_read_only = on")
                owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%recorder'"
                )
                (error,) = await at_once(recorder, "key")
                assert isinstance(error, UnavailableError)
                owner.execute("SET default_transaction_read_only = off")
                owner.execute(f"ALTER DATABASE {database} RESET default_transaction_read_only")
            assert [type(answer) for answer in await at_once(recorder, "key")] == [Recorded]

    asyncio.run(run())
    assert len(held(store_url).leaves) == 2


FAILING = """
CREATE SEQUENCE tries;
CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{code}'; END IF;
    RETURN NULL; END $$;
CREATE {kind} TRIGGER fail AFTER INSERT ON obligor.decision {when} FOR EACH ROW EXECUTE FUNCTION fail();
"""
NOW_OR_AT_COMMIT = [("", ""), ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED")]


@pytest.mark.parametrize(("kind", "when"), NOW_OR_AT_COMMIT, ids=["at the insert", "at COMMIT"])
@pytest.mark.parametrize("code", ["40P01", "40001", "53100", "53200", "55P03", "57014", "XX000"])
def test_what_passes_is_tried_again(store_url: str, code: str, kind: str, when: str) -> None:
    """A deadlock, a serialization failure, a full disk or memory, a lock, a cancelled statement, an internal error."""
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(FAILING.format(times=2, code=code, kind=kind, when=when))

    async def run() -> list[Recorded | BaseException]:
        async with PostgresRecorder(store_url, bounds=Bounds(patience_s=20)) as recorder:
            return await at_once(recorder, "one", "other", "third")

    assert [type(answer) for answer in asyncio.run(run())] == [Recorded] * 3
    assert len(held(store_url).leaves) == 3


def test_a_disk_that_stays_full_is_told_as_unavailable_and_the_recorder_is_not_well_until_there_is_room(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(FAILING.format(times=1_000_000, code="53100", kind="", when=""))

        async def run() -> None:
            async with PostgresRecorder(store_url, bounds=QUICK) as recorder:
                assert recorder.is_well
                assert [type(it) for it in await at_once(recorder, "one", "other")] == [UnavailableError] * 2
                assert not recorder.is_well
                with monkeypatch.context() as later:
                    later.setattr("obligor.adapters.store.recorder._UNWELL_S", 0.0)
                    assert recorder.is_well, "after a while it may be tried again"
                store = held(store_url)
                assert (store.leaves, store.decisions, store.requests) == ([], [], [])
                owner.execute("DROP TRIGGER fail ON obligor.decision")
                assert [type(it) for it in await at_once(recorder, "one")] == [Recorded]
                assert recorder.is_well

        asyncio.run(run())


def test_a_connection_that_the_server_ends_is_made_anew(store_url: str) -> None:
    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            for place in range(5):
                await recorder.record(submission(f"key {place}"))
                with psycopg.connect(store_url, autocommit=True) as owner:
                    owner.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '%recorder'"
                    )

    asyncio.run(run())
    assert len(held(store_url).leaves) == 5


def test_a_server_without_a_free_connection_is_told_as_unavailable(store_url: str) -> None:
    database = store_url.partition("?")[0].rpartition("/")[2]

    async def run() -> None:
        with psycopg.connect(store_url, autocommit=True) as owner:
            role = f"few_{os.urandom(4).hex()}"
            owner.execute(f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 2")
            owner.execute(f"GRANT ALL ON SCHEMA obligor TO {role}")
            owner.execute(f"GRANT ALL ON ALL TABLES IN SCHEMA obligor TO {role}")
            as_few = store_url.replace("://obligor@", f"://{role}@").replace("://postgres@", f"://{role}@")
            assert database in as_few
            async with PostgresRecorder(as_few, bounds=QUICK) as recorder:
                with psycopg.connect(as_few):
                    (error,) = await at_once(recorder, "key")
                    assert isinstance(error, UnavailableError)
                for _ in range(10):  # a session counts until its process has ended, which a busy machine puts off
                    (answer,) = await at_once(recorder, "key")
                    if isinstance(answer, Recorded):
                        break
                assert isinstance(answer, Recorded)
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")

    asyncio.run(run())
    assert len(held(store_url).leaves) == 1


def kill_all(server: int) -> None:
    """Kill a server and its processes, and wait until it is dead: until then it passes for one that runs."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(server)], capture_output=True, text=True, check=True)
    dying = os.pidfd_open(server)
    for victim in [server, *map(int, found.stdout.split())]:
        os.kill(victim, signal.SIGKILL)
    ended, _, _ = select.select([dying], [], [], 60)
    os.close(dying)
    assert ended


def test_a_server_killed_under_load_keeps_all_that_it_answered_for() -> None:
    """Every process of PostgreSQL is killed; it recovers, and who sent again gets the first answer."""
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as folder:
        server = start_embedded(Path(folder) / "postgres")
        migrate(server.url)

        async def run() -> dict[str, bytes]:
            told: dict[str, bytes] = {}
            some = asyncio.Event()

            async def insist(key: str) -> None:
                while key not in told:
                    try:
                        told[key] = (await recorder.record(submission(key))).response
                        if len(told) == 40:
                            some.set()
                    except UnavailableError:
                        await asyncio.sleep(0.05)

            async with PostgresRecorder(server.url, bounds=Bounds(patience_s=1.0, batch=16)) as recorder:
                clients = asyncio.gather(*(insist(f"key {place}") for place in range(400)))
                await some.wait()
                kill_all(int((Path(folder) / "postgres" / "postmaster.pid").read_text().split()[0]))
                again = await asyncio.to_thread(start_embedded, Path(folder) / "postgres")
                try:
                    await asyncio.wait_for(clients, 60)
                finally:
                    again.close()
            return told

        told = asyncio.run(run())
        store = held(server.url)
        server.close()
    assert len(store.leaves) == 400
    assert {request["key"]: bytes(request["response"]) for request in store.requests} == told
    assert sorted(json.loads(answer)["leaf_index"] for answer in told.values()) == list(range(400))
