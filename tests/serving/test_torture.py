"""The decision service as processes that are killed, stopped, swapped and overrun, and a careless one that is found out."""

from __future__ import annotations

import asyncio
import gc
import json
import random
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from benchmarks.service.crashes import PATH, Victim, releases_since, torment
from benchmarks.service.lender import bodies, write_run

if TYPE_CHECKING:
    from collections.abc import Iterator

# A client that is cut off leaves its connection to the collector, which tells of it; that is no fault of the service.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore:Unclosed:ResourceWarning",
    "ignore:unclosed:ResourceWarning",
)

CARELESS = Path(__file__).with_name("careless.py")
SEED = 7
SHED = {429, 503}


@pytest.fixture(autouse=True)
def left_here() -> Iterator[None]:
    """What a test left is collected before the next begins, which may be of another file."""
    yield
    gc.collect()


@contextmanager
def passable() -> Iterator[Path]:
    """A folder that the user of the database can enter, who cannot enter those of pytest."""
    with tempfile.TemporaryDirectory(prefix="obligor-tests-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def ground() -> Iterator[Path]:
    with passable() as folder:
        yield folder


@pytest.fixture(scope="module")
def started() -> Iterator[Victim]:
    with passable() as folder, Victim(folder) as it:
        yield it


@pytest.fixture
def victim(started: Victim) -> Victim:
    """The service on its database, which other tests have used, and killed, and let go on."""
    started.seen.statuses.clear()
    return started


def careless(ground: Path, manner: str) -> Victim:
    return Victim(ground, command=(sys.executable, str(CARELESS), manner))


def kill(victim: Victim, what: str) -> None:
    asyncio.run(victim.kill_under_load(what, after_s=0.4, down_s=0.0))


def test_a_service_that_answers_after_the_commit_passes(ground: Path) -> None:
    with careless(ground, "honest") as victim:
        kill(victim, "both")
        found = victim.verdict()
    assert found.acknowledged
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, ())


def test_a_service_that_answers_before_it_commits_is_found_out(ground: Path) -> None:
    with careless(ground, "hasty") as victim:
        kill(victim, "service")
        assert victim.verdict().lost


def test_a_service_that_forgets_its_idempotency_keys_is_found_out(ground: Path) -> None:
    with careless(ground, "forgetful") as victim:
        kill(victim, "service")
        found = victim.verdict()
    assert found.duplicated


def test_twenty_kills_lose_no_answered_decision_and_decide_none_twice(victim: Victim) -> None:
    chance = random.Random(SEED)  # noqa: S311 - it draws moments, not secrets
    killed = Counter(asyncio.run(torment(victim, chance=chance)) for _ in range(20))
    found = victim.verdict()
    assert set(killed) == {"service", "database", "both"}
    assert found.acknowledged
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, ())
    assert victim.green("audit", "verify")
    assert victim.green("doctor", "--strict")


def test_a_service_that_is_asked_to_stop_under_load_drains_and_loses_nothing(victim: Victim) -> None:
    code, took_s = asyncio.run(victim.terminate_under_load(after_s=0.5))
    found = victim.verdict()
    assert (code, took_s < 30) == (0, True)
    assert found.acknowledged
    assert (found.lost, found.duplicated, found.wrong) == (0, 0, ())


def test_a_release_put_in_force_and_rolled_back_under_load_refuses_nobody_and_is_never_mixed_with_another(
    victim: Victim, ground: Path
) -> None:
    async def swapped() -> None:
        stop = asyncio.Event()
        loading = asyncio.create_task(victim.load(stop))
        await asyncio.sleep(0.5)
        await asyncio.to_thread(victim.lender.obligor, "releases", "activate", other)
        await asyncio.sleep(1.5)
        await asyncio.to_thread(victim.lender.obligor, "releases", "rollback", "--because", "too many approvals")
        await asyncio.sleep(1.5)
        stop.set()
        await loading

    other = write_run(ground / "other", cutoff=505_000)
    first = victim.database.query("SELECT size FROM obligor.tree_head")[0][0]
    asyncio.run(swapped())
    assert set(victim.seen.statuses) == {201}
    pins = [json.loads(it) for it in releases_since(victim.database, first)]
    before, other, back = [(it["card_sha256"], it["policy_sha256"]) for it in pins]
    assert (before == back, before == other) == (True, False)
    assert [it["release"] - pins[0]["release"] for it in pins] == [0, 1, 2]


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # a client that is cut off leaves its connection
def test_more_than_can_be_served_is_shed_with_a_hint_and_those_let_in_are_answered(victim: Victim) -> None:
    async def overrun() -> None:
        async with victim.client(connections=300) as client, victim.client() as watcher:

            async def one() -> None:
                answer = await victim.send(client, *victim.request())
                if answer is not None and answer.status in SHED:
                    hints.append(answer.retry_after)

            victim.database.pause()
            requests = asyncio.gather(*(one() for _ in range(300)))
            while not hints:
                await asyncio.sleep(0.01)
            assert (await watcher.get("/health/live")).status == 200
            victim.database.resume()
            await requests
            assert (await watcher.get("/health/ready")).status == 200

    hints: list[str | None] = []
    asyncio.run(overrun())
    assert set(victim.seen.statuses) <= {201, *SHED}
    assert victim.seen.statuses[201]
    assert all(hint is not None and int(hint) > 0 for hint in hints)
    kept = {str(it) for (it,) in victim.database.query("SELECT decision_id FROM obligor.decision")}
    assert kept == {json.loads(answer)["decision_id"] for answer in victim.seen.answers.values()}


def test_health_says_that_the_service_is_not_ready_while_its_database_is_away(victim: Victim) -> None:
    async def told(status: int) -> None:
        async with victim.client() as client, asyncio.timeout(20):
            while (await client.get("/health/ready")).status != status:
                await asyncio.sleep(0.05)
            assert (await client.get("/health/live")).status == 200
            answer = await client.post(PATH, data=bodies(1)[0], headers={"Idempotency-Key": f"while-{status}"})
            assert answer.status == (201 if status == 200 else 503)

    victim.database.kill()
    asyncio.run(told(503))
    victim.database.start()
    asyncio.run(told(200))
