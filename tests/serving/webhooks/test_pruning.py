"""Events that are over go, and nothing else: not what waits, not what is held, and not the place of the next one."""

from __future__ import annotations

import asyncio
import io
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.serving.los import Los, say
from tests.serving.webhooks.endpoints import office
from tests.stores import as_owner

from obligor.adapters.store.pool import Pool
from obligor.adapters.store.pruning import PostgresPruning
from obligor.serving.telemetry.journal import Journal, NoJournal
from obligor.serving.webhooks import pruning as pruning_module
from obligor.serving.webhooks.pruning import AT_ONCE, Pruned, Pruning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.serving.webhooks.endpoints import Office

KEPT = timedelta(days=90)
WEEK = timedelta(days=7)


@asynccontextmanager
async def keeping(url: str, los: Los) -> AsyncIterator[tuple[Office, Pruning]]:
    """Open an office whose client listens, and what prunes its events."""
    async with office(url) as here:
        await here.add(los.url)
        los.secret = ""  # its clock stands still
        pool = Pool(url)
        try:
            yield here, Pruning(PostgresPruning(pool), now=here.clock, keep=KEPT, journal=NoJournal())
        finally:
            await pool.close()


def play(url: str, los: Los, scene: Callable[[Office, Pruning], Awaitable[None]]) -> None:
    async def played() -> None:
        async with keeping(url, los) as (here, pruning):
            await scene(here, pruning)

    asyncio.run(played())


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def change(url: str, statement: str) -> None:
    with psycopg.connect(as_owner(url), autocommit=True) as connection:
        connection.execute(statement.encode())


KEPT_EVENTS = "SELECT application_id, sequence, payload <> '' FROM obligor.outbox ORDER BY application_id, sequence"
DELIVERIES = "SELECT count(*) FROM obligor.delivery"


def test_what_was_taken_or_given_up_long_ago_goes_and_the_last_place_of_an_application_stays(
    store_url: str, los: Los
) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("refer", "approve")
        await here.decide("decline", application=None)
        await here.decide("decline", application="A-2")
        await here.work(3)
        change(store_url, "UPDATE obligor.delivery SET state = 'dead' WHERE application_id = 'A-2'")
        here.clock.on(KEPT - WEEK)
        await here.decide("approve", application="A-3")
        await here.work(2)
        assert await pruning.prune() == 0
        here.clock.on(2 * WEEK)
        assert await pruning.prune() == 4
        assert rows(store_url, KEPT_EVENTS) == [("A-1", 2, False), ("A-2", 1, False), ("A-3", 1, True)]
        assert rows(store_url, DELIVERIES) == [(1,)]
        await here.decide("refer")
        await here.work(2)
        assert los.state["A-1"] == (3, "refer"), "a receiver that keeps the highest is right"
        here.clock.on(2 * KEPT)
        assert await pruning.prune() == 2
        assert rows(store_url, KEPT_EVENTS) == [("A-1", 3, False), ("A-2", 1, False), ("A-3", 1, False)]

    play(store_url, los, scene)


def test_an_event_that_waits_at_one_endpoint_stays_though_another_took_it(store_url: str, los: Los) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        with Los() as other:
            await here.add(other.url)
            other.answers = [say(410)]
            await here.decide("approve")
            await here.work(2)
            here.clock.on(2 * KEPT)
            assert await pruning.prune() == 0
            (gone,) = [it for it in await here.deliveries.all_endpoints() if it.state == "gone"]
            await here.webhooks.enable(gone)
            await here.work(2)
            assert len(other.bodies) == 2
            here.clock.on(KEPT + WEEK)
            assert await pruning.prune() == 1
            assert rows(store_url, DELIVERIES) == [(0,)]

    play(store_url, los, scene)


WAITS = ("disabled", "gone", "overwhelmed")


@pytest.mark.parametrize("why", WAITS)
def test_what_nobody_could_be_told_for_as_long_as_events_are_kept_is_given_up_and_goes_as_long_after(
    store_url: str, los: Los, why: str
) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        (row,) = await here.deliveries.endpoints()
        los.answers = [say(410 if why == "gone" else 500)] * 2
        await here.decide("approve", "refer")
        await here.decide("approve", application=None)
        await here.work()
        if why == "disabled":
            await here.webhooks.disable(row)
        here.clock.on(KEPT - WEEK)
        assert await pruning.give_up() == 0
        here.clock.on(2 * WEEK)
        assert (await pruning.give_up(), await pruning.prune()) == (3, 0)
        assert (await here.deliveries.standing())[row.endpoint_id] == {"pending": 0, "dead": 3}
        assert {it.last_trouble for it in await here.deliveries.dead()} == {"was not tried for 90 days"}
        here.clock.on(KEPT - WEEK)
        assert (await pruning.give_up(), await pruning.prune()) == (0, 0)
        here.clock.on(2 * WEEK)
        assert await pruning.prune() == 3
        assert rows(store_url, KEPT_EVENTS) == [("A-1", 2, False)]
        assert rows(store_url, DELIVERIES) == [(0,)]

    play(store_url, los, scene)


def test_who_enables_an_endpoint_late_is_told_again_of_what_was_given_up_and_in_order(store_url: str, los: Los) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        los.answers = [say(410)]
        await here.decide("approve", "refer")
        await here.work()
        here.clock.on(KEPT + WEEK)
        assert await pruning.give_up() == 2
        (gone,) = await here.deliveries.all_endpoints()
        await here.webhooks.enable(gone)
        await here.decide("decline")
        await here.work()
        given = {"since": None, "until": None, "delivered": False}
        assert await here.deliveries.replay(gone.endpoint_id, at=here.clock(), **given) == 2
        await here.work(3)
        assert los.state["A-1"] == (3, "decline"), "a receiver that keeps the highest is right"
        assert [it["sequence"] for it in los.came] == [1, 3, 1, 2]

    play(store_url, los, scene)


def test_what_fails_and_is_tried_is_not_given_up_for_its_age(store_url: str, los: Los) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("approve")
        await here.work()
        here.clock.on(2 * KEPT)
        await here.deliveries.replay(
            (await here.deliveries.endpoints())[0].endpoint_id,
            at=here.clock(),
            since=None,
            until=here.clock(),
            delivered=True,
        )
        los.answers = [say(500)]
        await here.work()
        assert await pruning.give_up() == 0

    play(store_url, los, scene)


def test_a_service_tells_how_many_events_it_gave_up(store_url: str, los: Los, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning_module, "SHARE", 1.0)  # without a rest
    many, lines = 2 * AT_ONCE + 1, io.BytesIO()

    async def scene(here: Office, _: Pruning) -> None:
        (row,) = await here.deliveries.endpoints()
        change(
            store_url,
            f"""WITH event AS (
                INSERT INTO obligor.outbox SELECT gen_random_uuid(), at, 'bank', NULL, 1, 'decision.made', 'x', now()
                FROM generate_series(100, {99 + many}) AS at RETURNING event_id
            ) INSERT INTO obligor.delivery (event_id, endpoint_id, sequence, due_since, next_at)
            SELECT event_id, '{row.endpoint_id}', 1, now(), now() FROM event""",
        )
        here.clock.on(2 * KEPT)
        pool = Pool(store_url)
        with Journal(lines, strict=True) as journal:
            telling = Pruning(PostgresPruning(pool), now=here.clock, keep=KEPT, journal=journal)
            task = asyncio.create_task(telling.run())
            while (await here.deliveries.backlog()).pending:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)
            task.cancel()
        await pool.close()

    play(store_url, los, scene)
    (line,) = map(json.loads, lines.getvalue().splitlines())
    assert (line["event"], line["level"], line["events"]) == ("webhooks_given_up", "warning", many)


HOLDS = {
    "a legal hold": (
        "INSERT INTO obligor.legal_hold VALUES ('\\x01', 'a claim', now(), 'ann', NULL)",
        "UPDATE obligor.legal_hold SET released_at = now()",
    ),
    "an alert that nobody cleared": (
        """INSERT INTO obligor.alert
        SELECT gen_random_uuid(), decision_id, 'bank', '\\x02', '', '', 0, '', now(), 99 FROM obligor.decision""",
        "INSERT INTO obligor.alert_step SELECT alert_id, 'cleared', '', now(), now(), 'ann', 100 FROM obligor.alert",
    ),
}


@pytest.mark.parametrize("hold", HOLDS)
def test_an_event_of_a_person_who_is_held_stays_until_the_hold_ends(store_url: str, los: Los, hold: str) -> None:
    placed, released = HOLDS[hold]

    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("approve")
        change(store_url, "UPDATE obligor.decision SET subject = '\\x01'")
        change(store_url, placed)
        await here.decide("decline", application="A-2")
        await here.work(2)
        here.clock.on(2 * KEPT)
        assert await pruning.prune() == 1
        assert rows(store_url, KEPT_EVENTS) == [("A-1", 1, True), ("A-2", 1, False)]
        change(store_url, released)
        assert await pruning.prune() == 1

    play(store_url, los, scene)


ACTS = {
    "an outcome": "INSERT INTO obligor.outcome SELECT gen_random_uuid(), decision_id, 99, 'good', now() FROM obligor.decision",
    "an override": """INSERT INTO obligor.override
        SELECT decision_id, 99, 'bank', 'decline', 'none', 'r', 'analyst', now(), 'ann'
        FROM obligor.decision""",
    "a review": """WITH asked AS (
            INSERT INTO obligor.review SELECT gen_random_uuid(), decision_id, 'bank', 98, now(), now(), '' FROM obligor.decision
            RETURNING review_id
        ) INSERT INTO obligor.review_decision SELECT review_id, 99, 'kept', 'decline', now(), 'ann' FROM asked""",
    "what is late": """UPDATE obligor.outbox
        SET type = 'held.late', payload = convert_to(json_build_object('decision_id', decision_id)::text, 'UTF8')
        FROM obligor.decision""",
}


@pytest.mark.parametrize("act", ACTS)
def test_what_became_of_a_decision_on_a_person_who_is_held_stays_too(store_url: str, los: Los, act: str) -> None:
    placed, released = HOLDS["a legal hold"]

    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("approve")
        change(store_url, "UPDATE obligor.decision SET subject = '\\x01'")
        change(store_url, ACTS[act])
        change(store_url, "UPDATE obligor.outbox SET leaf_index = 99")
        change(store_url, placed)
        await here.work(1)
        here.clock.on(2 * KEPT)
        assert await pruning.prune() == 0
        change(store_url, released)
        assert await pruning.prune() == 1

    play(store_url, los, scene)


def test_many_events_go_in_small_steps_past_those_that_stay(
    store_url: str, los: Los, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning_module, "SHARE", 1.0)  # without a rest
    many = 3 * AT_ONCE

    async def scene(here: Office, pruning: Pruning) -> None:
        change(
            store_url,
            f"""WITH event AS (
                INSERT INTO obligor.outbox SELECT gen_random_uuid(), at, 'bank', NULL, 1, 'decision.made', 'x',
                    now() + at * interval '1 second' FROM generate_series(1, {many}) AS made (at) RETURNING *
            ) INSERT INTO obligor.delivery (event_id, endpoint_id, sequence, state, due_since, next_at, settled_at)
            SELECT event_id, endpoint_id, 1,
                CASE WHEN endpoint_id = 'two' AND leaf_index <= {AT_ONCE} THEN 'pending' ELSE 'delivered' END,
                created_at, created_at,
                CASE WHEN endpoint_id = 'two' AND leaf_index <= {AT_ONCE} THEN NULL ELSE created_at END
            FROM event CROSS JOIN (VALUES ('one'), ('two')) AS endpoint (endpoint_id)""",
        )
        here.clock.on(2 * KEPT)
        assert await pruning.prune() == many - AT_ONCE
        assert rows(store_url, "SELECT min(leaf_index), max(leaf_index) FROM obligor.outbox") == [(1, AT_ONCE)]

    play(store_url, los, scene)


def test_what_somebody_sends_again_while_it_is_pruned_is_sent(store_url: str, los: Los) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("approve")
        await here.work(2)
        here.clock.on(2 * KEPT)
        with psycopg.connect(store_url) as other:
            other.execute("UPDATE obligor.delivery SET state = 'pending', settled_at = NULL, attempts = 0")
            begun = asyncio.create_task(pruning.prune())
            await asyncio.sleep(0.3)
            assert not begun.done(), "it waits for what the other changed"
            other.commit()
        assert await begun == 0
        await here.work(2)
        assert len(los.bodies) == 2
        assert rows(store_url, KEPT_EVENTS) == [("A-1", 1, True)]

    play(store_url, los, scene)


def test_two_services_that_prune_at_once_and_one_that_delivers_do_not_hold_each_other_up(
    store_url: str, los: Los
) -> None:
    async def scene(here: Office, pruning: Pruning) -> None:
        for number in range(40):
            await here.decide("refer", "approve", application=f"A-{number}")
        await here.work(8)
        here.clock.on(2 * KEPT)
        await here.decide("decline", application="B-1")
        async with keeping(store_url, los) as (_, other):
            pruned = await asyncio.gather(pruning.prune(), other.prune(), here.work(2))
        assert sum(it for it in pruned if it) == 80
        assert los.state["B-1"] == (1, "decline")
        assert rows(store_url, "SELECT count(*) FROM obligor.outbox") == [(41,)]
        assert rows(store_url, "SELECT count(*) FROM obligor.delivery WHERE application_id <> 'B-1'") == [(0,)]

    play(store_url, los, scene)


def test_an_event_that_no_endpoint_is_told_of_is_not_kept(store_url: str, los: Los) -> None:
    """Who decides hears a little later than the store that the endpoint ended; nothing would ever settle such an event."""

    async def scene(here: Office, pruning: Pruning) -> None:
        await here.decide("approve", application="A-1")
        (row,) = await here.deliveries.endpoints()
        await here.webhooks.disable(row)
        await here.decide("approve", application="A-2")

    play(store_url, los, scene)
    assert rows(store_url, KEPT_EVENTS) == [("A-1", 1, True)]


def test_what_waited_for_less_than_an_attempt_may_take_is_left_to_who_tries() -> None:
    """However short events are kept: days in which no service ran do not count."""
    asked: list[datetime] = []

    class Store:
        async def give_up(self, *, before: datetime, at: datetime, trouble: str, most: int) -> int:
            asked.append(before)
            return 0

        async def prune(self, *, before: datetime, after: datetime | None, most: int) -> Pruned:
            return Pruned(0, None, 0)

    now = datetime(2026, 11, 28, tzinfo=UTC)
    for days in (1, 90):
        pruning = Pruning(Store(), now=lambda: now, keep=timedelta(days=days), journal=NoJournal())
        assert asyncio.run(pruning.give_up()) == 0
    assert asked == [now - timedelta(days=4), now - timedelta(days=90)]
