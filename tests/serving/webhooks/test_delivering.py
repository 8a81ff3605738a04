"""Events reach a loan origination system at least once each, signed, in order, whatever it does."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from standardwebhooks import Webhook, WebhookVerificationError
from tests.serving.los import Los, drop, hang, pour, say
from tests.serving.webhooks.endpoints import decided, office, shown

from obligor.core.errors import ClashError, IntegrityError, InvalidInputError, NotFoundError
from obligor.core.event_types import EVENT_TYPES
from obligor.serving.webhooks.delivering import AT_ONCE, EVERY_S, LEASE, Backlog
from obligor.serving.webhooks.retrying import GIVEN_UP_AFTER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.serving.los import Answer
    from tests.serving.webhooks.endpoints import Office

    from obligor.serving.rows import WebhookRow

ROOT = Path(__file__).resolve().parents[3]


def run(url: str, los: Los, scene: Callable[[Office, WebhookRow], Awaitable[None]], **named: Any) -> None:
    """Play a scene in an office whose client listens at the system."""

    async def played() -> None:
        async with office(url, **named) as here:
            row = await here.add(los.url)
            los.secret = shown(row)
            await scene(here, row)

    asyncio.run(played())


def test_a_decision_reaches_its_lender_once_signed_and_verified_by_another_library(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        await here.work(2)
        assert (await here.deliveries.backlog()).pending == 0
        assert here.counts.results == ["delivered"]

    run(store_url, los, scene)
    (message,) = los.came
    assert list(message) == ["type", "timestamp", "sequence", "data"]
    assert (message["type"], message["sequence"], message["data"]["outcome"]) == ("decision.made", 1, "approve")
    assert los.refused == 0


def test_what_another_client_is_decided_is_told_to_nobody_else(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve", client="other")
        await here.work()

    run(store_url, los, scene)
    assert los.bodies == []


def test_events_of_an_application_come_in_order_and_those_of_others_do_not_wait(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("refer", application="A-1")
        await here.decide("approve", application="A-1")
        await here.decide("decline", application="A-2")
        los.answers = [say(500)]  # to one of the two first
        await here.work()
        assert {it["data"]["outcome"] for it in los.came} == {"refer", "decline"}
        await here.work()
        here.clock.on(timedelta(seconds=6))
        await here.work(3)

    run(store_url, los, scene)
    told = [(it["sequence"], it["data"]["outcome"]) for it in los.came if it["data"]["application_id"] == "A-1"]
    assert sorted(set(told)) == [(1, "refer"), (2, "approve")]
    assert told == sorted(told)
    assert los.state == {"A-1": (2, "approve"), "A-2": (1, "decline")}


def test_a_later_event_waits_while_the_earlier_is_tried_again(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("refer", "approve")
        los.answers = [say(503)] * 3
        for _ in range(3):
            await here.work(2)
            here.clock.on(timedelta(minutes=1))
        assert [it["sequence"] for it in los.came] == [1, 1, 1]
        await here.work(3)

    run(store_url, los, scene)
    assert [it["sequence"] for it in los.came] == [1, 1, 1, 1, 2]


def test_duplicates_and_another_order_on_the_way_leave_the_right_end(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        for number in range(6):
            await here.decide("refer", "hold", "approve" if number % 2 else "decline", application=f"A-{number}")
        await here.work(4)

    run(store_url, los, scene)
    right = {f"A-{number}": (3, "approve" if number % 2 else "decline") for number in range(6)}
    assert los.state == right
    mixed = [message for message in los.came for _ in range(5)]
    random.Random(3).shuffle(mixed)  # noqa: S311  an order for a test
    los.state = {}
    for message in mixed:
        los.apply(message)
    assert los.state == right
    ids = [headers["webhook-id"] for headers in los.headers]
    assert len(set(ids)) == len(ids) == 18


@pytest.mark.parametrize(
    "answer",
    [say(500), say(404), say(301, Location="http://127.0.0.1:1/elsewhere"), say(307, Location="/hooks"), drop],
    ids=["broken", "gone", "moved", "again", "drops"],
)
def test_what_was_not_taken_in_whole_is_sent_again_with_the_same_id_and_body(
    store_url: str, los: Los, answer: Answer
) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [answer]
        await here.work(2)
        assert len(los.bodies) == 1
        here.clock.on(timedelta(seconds=6))
        await here.work(2)
        assert here.counts.results == ["failed", "delivered"]
        assert "hush" not in repr(here.told)

    run(store_url, los, scene)
    assert los.bodies[0] == los.bodies[1]
    first, second = (headers["webhook-id"] for headers in los.headers)
    assert first == second
    assert los.refused == 0


def test_a_receiver_that_hangs_costs_one_attempt_and_keeps_no_other_waiting(store_url: str, los: Los) -> None:
    released = threading.Event()

    async def scene(here: Office, _: WebhookRow) -> None:
        with Los() as other:
            row = await here.add(other.url, client="other")
            other.secret = shown(row)
            los.answers = [hang(released)] * AT_ONCE
            for number in range(AT_ONCE):
                await here.decide("approve", application=f"A-{number}")
            await here.decide("decline", application="B-1", client="other")
            await here.delivering.round()
            async with asyncio.timeout(5):
                while not here.counts.results:
                    await asyncio.sleep(0.01)
            assert here.counts.results == ["delivered"]
            await here.delivering.settle()
            released.set()
        assert sorted(here.counts.results) == ["delivered"] + ["failed"] * AT_ONCE

    run(store_url, los, scene, patience_s=1.5)


def test_an_answer_without_end_is_taken_for_what_its_status_says_and_not_read(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [pour]
        await here.work()
        assert here.counts.results == ["delivered"]

    run(store_url, los, scene)


def test_after_72_hours_an_event_is_a_dead_letter_and_the_next_one_goes_on(store_url: str, los: Los) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        await here.decide("refer", "approve")
        los.secret = ""  # its clock stands still
        los.answers = [say(500)] * 1000
        begun = here.clock.at
        while not (await here.deliveries.dead()):
            await here.work()
            here.clock.on(timedelta(minutes=30))
        assert timedelta(hours=67) < here.clock.at - begun < GIVEN_UP_AFTER + timedelta(hours=2)
        (dead,) = await here.deliveries.dead()
        assert (dead.last_status, dead.last_trouble) == (500, "answered 500; wanted 2xx")
        assert here.counts.results.count("given up") == 1
        assert 20 < dead.attempts < 60
        los.answers = []
        here.clock.on(timedelta(hours=5))
        await here.work(2)
        assert los.came[-1]["sequence"] == 2
        assert (
            await here.deliveries.replay(row.endpoint_id, at=here.clock.at, since=None, until=None, delivered=False)
            == 1
        )
        await here.work()
        assert los.came[-1]["sequence"] == 1
        assert not await here.deliveries.dead()

    run(store_url, los, scene)
    assert los.state == {"A-1": (2, "approve")}


def test_an_event_is_not_given_up_for_days_in_which_no_service_ran(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.secret = ""  # its clock stands still
        los.answers = [say(500)] * 2
        await here.work()
        here.clock.on(GIVEN_UP_AFTER)
        await here.work()
        assert here.counts.results == ["failed", "failed"]
        here.clock.on(timedelta(minutes=1))
        await here.work()
        assert here.counts.results[-1] == "delivered"

    run(store_url, los, scene)


def test_an_endpoint_that_fails_again_and_again_is_left_alone_until_one_attempt_finds_out(
    store_url: str, los: Los
) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        for number in range(20):
            await here.decide("approve", application=f"A-{number}")
        los.answers = [say(500)] * AT_ONCE
        await here.work()
        assert len(los.bodies) == AT_ONCE
        await here.work(3)
        assert len(los.bodies) == AT_ONCE, "it is left alone"
        here.clock.on(timedelta(minutes=5))
        await here.work()
        assert len(los.bodies) == AT_ONCE + 1, "one attempt finds out"
        await here.work(3)

    run(store_url, los, scene)
    assert len(los.state) == 20


def test_while_a_secret_is_replaced_both_verify_and_then_only_the_new_one(store_url: str, los: Los) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        new = (await here.webhooks.rotate(row, overlap=timedelta(hours=1))).row
        await here.decide("refer")
        await here.work()
        body, headers = los.bodies[-1], los.headers[-1]
        for secret in (shown(row), shown(new)):
            assert Webhook(secret).verify(body, headers)["data"]["outcome"] == "refer"
        here.clock.on(timedelta(hours=2))
        los.secret = ""
        await here.decide("approve")
        await here.work()
        assert len(los.headers[-1]["webhook-signature"].split()) == 1

    run(store_url, los, scene)


def test_a_body_that_was_changed_on_the_way_or_is_six_minutes_old_is_refused(store_url: str, los: Los) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        await here.decide("decline")
        await here.work()
        body, headers = los.bodies[-1], los.headers[-1]
        for place in range(0, len(body), 7):
            flipped = body[:place] + bytes([body[place] ^ 1]) + body[place + 1 :]
            with pytest.raises(WebhookVerificationError):
                Webhook(shown(row)).verify(flipped, headers, json_parse=False)
        here.clock.on(timedelta(minutes=-6))
        await here.decide("approve", application="A-2")
        await here.work()

    run(store_url, los, scene)
    assert los.refused == 1
    assert [it["data"]["outcome"] for it in los.came] == ["decline"]


@pytest.mark.parametrize("status", [429, 503])
def test_a_receiver_that_says_when_to_come_again_is_left_alone_until_then(
    store_url: str, los: Los, status: int
) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [say(status, **{"Retry-After": "120"})]
        await here.work()
        await here.decide("decline", application="A-2")
        here.clock.on(timedelta(seconds=119))
        await here.work()
        assert len(los.bodies) == 1, "no event goes there, and the one that was refused would have gone after 5 seconds"
        here.clock.on(timedelta(seconds=1))
        await here.work(2)

    run(store_url, los, scene)
    assert los.state == {"A-1": (1, "approve"), "A-2": (1, "decline")}


def test_a_receiver_that_says_at_once_is_asked_no_sooner_than_it_would_have_been(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [say(503, **{"Retry-After": "0"})]
        await here.work()
        here.clock.on(timedelta(seconds=4))
        await here.work()
        assert len(los.bodies) == 1
        here.clock.on(timedelta(seconds=1))
        await here.work()

    run(store_url, los, scene)
    assert len(los.bodies) == 2


def test_what_failed_by_a_clock_that_was_ahead_is_sent_once_it_is_set_back(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        here.clock.on(timedelta(days=100))
        await here.decide("refer")
        los.answers = [say(500)]
        await here.work()
        here.clock.on(-timedelta(days=100))
        await replace(here.delivering).round()  # of another process, or of this one a while later
        await here.work()

    run(store_url, los, scene)
    assert los.state == {"A-1": (1, "refer")}


def test_what_else_was_answered_than_429_or_503_says_nothing_of_when(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [say(500, **{"Retry-After": "120"})]
        await here.work()
        here.clock.on(timedelta(seconds=6))
        await here.work()

    run(store_url, los, scene)
    assert len(los.bodies) == 2


def test_an_endpoint_whose_receiver_is_gone_is_stopped_once_and_what_waits_is_sent_once_it_is_enabled(
    store_url: str, los: Los
) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        await here.decide("refer", "approve")
        await here.decide("decline", application="A-2")
        los.answers = [say(410)] * 2
        await here.work(2)
        assert len(los.bodies) == 2, "both were under way, and nothing is sent after"
        stopped = await here.deliveries.endpoint(row.endpoint_id)
        assert stopped is not None
        assert stopped == replace(row, state="gone")
        here.clock.on(2 * GIVEN_UP_AFTER)
        await here.work()
        assert (await here.deliveries.standing())[row.endpoint_id]["pending"] == 3
        assert await here.deliveries.backlog() == Backlog(gone=1)
        with pytest.raises(ClashError, match="is gone"):
            await here.webhooks.rotate(stopped, overlap=timedelta())
        los.secret = ""  # its clock stands still
        await here.webhooks.enable(stopped)
        assert await here.deliveries.go_on(row.endpoint_id, at=here.clock.at) == 3
        los.answers = [say(500)]
        await here.work()
        here.clock.on(timedelta(seconds=6))
        await here.work(3)
        assert not await here.deliveries.dead(), "the days in between count for no attempt"

    run(store_url, los, scene)
    assert los.state == {"A-1": (2, "approve"), "A-2": (1, "decline")}
    with psycopg.connect(store_url) as connection:
        acts = connection.execute(
            "SELECT kind, convert_from(body, 'UTF8')::json ->> 'by' FROM obligor.leaf"
            " WHERE kind LIKE 'webhook.%' ORDER BY index"
        ).fetchall()
    assert acts == [
        ("webhook.added", "person:ada"),
        ("webhook.gone", "client:obligor/webhooks"),
        ("webhook.enabled", "person:ada"),
    ]


def test_what_was_tried_for_days_waits_all_the_same_once_its_receiver_is_gone(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        los.answers = [say(500), say(410)]
        await here.work()
        here.clock.on(GIVEN_UP_AFTER)
        los.secret = ""  # its clock stands still
        await here.work()
        assert len(los.bodies) == 2
        assert here.counts.results == ["failed", "failed"], "and not given up"

    run(store_url, los, scene)


def test_an_endpoint_that_a_person_disabled_or_that_is_active_is_not_enabled(store_url: str, los: Los) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        with pytest.raises(ClashError, match="is active; wanted one that is gone"):
            await here.webhooks.enable(row)
        await here.webhooks.disable(row)
        with pytest.raises(ClashError, match="was disabled before"):
            await here.webhooks.enable(await here.deliveries.endpoint(row.endpoint_id))
        await here.webhooks.stop(await here.deliveries.endpoint(row.endpoint_id))
        assert (await here.deliveries.all_endpoints())[0].state == "disabled", (
            "an answer that came late changes nothing"
        )

    run(store_url, los, scene)


def test_a_disabled_endpoint_is_told_nothing_more(store_url: str, los: Los) -> None:
    async def scene(here: Office, row: WebhookRow) -> None:
        await here.decide("approve")
        await here.webhooks.disable(row)
        await here.decide("decline")
        await here.work()
        assert (await here.deliveries.backlog()).pending == 0

    run(store_url, los, scene)
    assert los.bodies == []


def test_two_services_share_the_work_and_nothing_is_sent_twice(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        async with office(store_url) as other:
            for number in range(30):
                await here.decide("refer", "approve", application=f"A-{number}")
            for _ in range(20):
                await asyncio.gather(here.work(), other.work())
            assert here.counts.results
            assert other.counts.results

    run(store_url, los, scene)
    assert len(los.bodies) == len(set(los.bodies)) == 60
    assert los.state == {f"A-{number}": (2, "approve") for number in range(30)}
    last: dict[str, int] = {}
    for message in los.came:
        application = message["data"]["application_id"]
        assert message["sequence"] == last.get(application, 0) + 1
        last[application] = message["sequence"]


def test_what_waits_is_counted(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("approve")
        here.clock.on(timedelta(seconds=90))
        los.answers = [say(500)]
        await here.work()
        read = {name: value() for name, value in here.counts.readings.items()}
        assert read == {
            "webhooks_pending": 1.0,
            "webhooks_oldest_seconds": 90.0,
            "webhooks_dead": 0.0,
            "webhooks_gone": 0.0,
        }

    run(store_url, los, scene)
    assert json.loads(los.bodies[0])["sequence"] == 1


def test_the_more_requests_are_under_way_the_longer_events_wait(store_url: str, los: Los) -> None:
    async def scene(here: Office, _: WebhookRow) -> None:
        rests = []
        for busy in (0, 1, 64, 10_000):
            here.delivering.under_way = lambda busy=busy: busy  # type: ignore[misc]  # a loop's variable
            rests.append(here.delivering.rest_s)
        assert rests == sorted(rests)
        assert 0 == rests[0] < rests[1] < rests[2] < rests[3] == EVERY_S, "and no longer than until the next look"

    run(store_url, los, scene)


SERVICE = """
import asyncio, sys
from tests.serving.webhooks.endpoints import office

async def serve():
    async with office(sys.argv[1], patience_s=30.0) as here:
        await here.delivering.run()

asyncio.run(serve())
"""


def test_a_service_killed_while_it_sends_loses_nothing_and_nothing_overtakes(store_url: str, los: Los) -> None:
    released = threading.Event()

    async def scene(here: Office, _: WebhookRow) -> None:
        await here.decide("refer", "approve")
        los.answers = [hang(released)]
        service = await asyncio.create_subprocess_exec(sys.executable, "-c", SERVICE, store_url, cwd=ROOT)
        async with asyncio.timeout(30):
            while not los.bodies:
                await asyncio.sleep(0.02)
        service.kill()
        await service.wait()
        released.set()
        await here.work(2)
        assert len(los.bodies) == 1, "the claim of the dead one still holds"
        here.clock.on(2 * LEASE)
        los.secret = ""  # its clock stands still
        await here.work(3)

    run(store_url, los, scene)
    assert [it["sequence"] for it in los.came] == [1, 1, 2]
    assert los.headers[0]["webhook-id"] == los.headers[1]["webhook-id"]


def test_an_act_that_is_not_recorded_tells_nobody(store_url: str, los: Los) -> None:
    """The event and its act are one transaction: where the act is refused, there is no event."""

    async def scene(here: Office, _: WebhookRow) -> None:
        good = decided("approve", "A-1")
        await here.recorder.record(good)
        with pytest.raises(IntegrityError):
            await here.recorder.record(good)  # the same decision again
        await here.work(2)

    run(store_url, los, scene)
    assert len(los.bodies) == 1


def test_an_address_or_an_author_that_will_not_do_leaves_no_endpoint(store_url: str) -> None:
    async def tried() -> None:
        async with office(store_url) as here:
            for client, url, events in (
                ("bank", "https://los.example/", ("all",)),
                ("Bank!", "https://x.example/", ()),
                ("bank", "https://los.example/4111111111111111", EVENT_TYPES),
            ):
                with pytest.raises(InvalidInputError):
                    await here.webhooks.add(client, url, event_types=events)
            nobody = replace(here.webhooks, by="")
            with pytest.raises(InvalidInputError, match="somebody's act"):
                await nobody.add("bank", "https://los.example/", event_types=EVENT_TYPES)
            assert await here.deliveries.all_endpoints() == ()
            row = await here.add("https://los.example/hush")
            assert "hush" not in repr(row)
            assert shown(row) not in repr(row)
            await here.webhooks.disable(row)
            with pytest.raises(ClashError, match="was disabled before"):
                await here.webhooks.rotate(await here.deliveries.endpoint(row.endpoint_id), overlap=timedelta())
            with pytest.raises(NotFoundError):
                await here.webhooks.disable(await here.deliveries.endpoint("ep_none"))

    asyncio.run(tried())
    with psycopg.connect(store_url) as connection:
        said = connection.execute("SELECT string_agg(encode(body, 'escape'), '') FROM obligor.leaf").fetchone()
    assert said is not None
    assert "hush" not in said[0]
