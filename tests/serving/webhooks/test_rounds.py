"""What a round claims, sends and notes, and what becomes of an event however an attempt ends, with a store in memory."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from tests.serving.webhooks.endpoints import Clock, Counts
from tests.stores import NOW

from obligor.core.errors import InvalidInputError, UnavailableError
from obligor.core.leaves import time_text
from obligor.serving.rows import WebhookRow
from obligor.serving.webhooks import delivering
from obligor.serving.webhooks.delivering import (
    AS_KEPT,
    Answered,
    Attempted,
    Backlog,
    ClaimedEvent,
    Delivering,
    body_of,
    live_secrets,
)
from obligor.serving.webhooks.retrying import LONGEST_WAIT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

LEASE = timedelta(seconds=60)


def endpoint(name: str = "e-1") -> WebhookRow:
    return WebhookRow(name, "bank", f"https://{name}.example", ("decision.made",), "active", b"s" * 32, None, None, NOW)


@dataclass
class Kept:
    """Events that are due, and what was noted of them; ``down`` makes it fail."""

    endpoints_of: list[WebhookRow] = field(default_factory=lambda: [endpoint()])
    due: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    tried_since: datetime = NOW
    attempts: int = 1
    down: bool = False
    claims: list[tuple[str, int, datetime, datetime]] = field(default_factory=list)
    taken: list[tuple[str, int, int]] = field(default_factory=list)
    untaken: list[tuple[int | None, str, datetime | None]] = field(default_factory=list)
    recalled: list[tuple[tuple[str, ...], datetime]] = field(default_factory=list)
    waits: Backlog = field(default_factory=Backlog)
    made: int = 0

    def _check(self) -> None:
        if self.down:
            raise UnavailableError("the store does not answer")

    async def endpoints(self) -> Sequence[WebhookRow]:
        self._check()
        return self.endpoints_of

    async def claim(self, endpoint_id: str, most: int, *, at: datetime, until: datetime) -> Sequence[ClaimedEvent]:
        self.claims.append((endpoint_id, most, at, until))
        count = min(most, self.due[endpoint_id])
        self.due[endpoint_id] -= count
        self.made += count
        return [
            ClaimedEvent(
                UUID(int=self.made - it), endpoint_id, "A-1", 1, "decision.made", b"{}", NOW, self.attempts,
                self.tried_since, UUID(int=7),
            )
            for it in range(count)
        ]  # fmt: skip

    async def delivered(self, endpoint_id: str, events: Sequence[UUID], *, status: int, at: datetime) -> None:
        self._check()
        self.taken.append((endpoint_id, status, len(events)))

    async def failed(
        self, event: ClaimedEvent, *, status: int | None, trouble: str, at: datetime, again: datetime | None
    ) -> None:
        self._check()
        self.untaken.append((status, trouble, again))

    async def backlog(self) -> Backlog:
        return self.waits

    async def recall(self, endpoints: Sequence[str], *, at: datetime, latest: datetime) -> None:
        self.recalled.append((tuple(endpoints), latest))


@dataclass
class House:
    """What delivers from a store in memory to a receiver that does as it is told."""

    answers: Callable[[], Awaitable[Answered]]
    store: Kept = field(default_factory=Kept)
    clock: Clock = field(default_factory=lambda: Clock(NOW))
    counts: Counts = field(default_factory=Counts)
    told: list[Attempted] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.delivering = Delivering(
            *(self.store, self, self.clock, lambda: 0.0, self.counts, self.end),
            told=self.told.append,
            every_s=0.001,
            at_once=3,
        )

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Answered:
        return await self.answers()

    async def end(self, endpoint_id: str) -> None:
        self.gone.append(endpoint_id)
        await asyncio.sleep(0)

    async def work(self, *, due: int = 1) -> None:
        self.store.due["e-1"] = due
        await self.delivering.round()
        await self.delivering.settle()


def saying(status: int, retry_after: str = "") -> Callable[[], Awaitable[Answered]]:
    async def answers() -> Answered:
        return Answered(status, retry_after)

    return answers


def failing(error: Exception) -> Callable[[], Awaitable[Answered]]:
    async def answers() -> Answered:
        raise error

    return answers


async def hangs() -> Answered:
    await asyncio.sleep(30)
    return Answered(200)


def test_no_more_is_under_way_at_an_endpoint_than_there_are_places_and_a_claim_holds_for_a_minute() -> None:
    async def main() -> None:
        may = asyncio.Semaphore(0)

        async def answers() -> Answered:
            await may.acquire()
            return Answered(200)

        house = House(answers)
        house.store.due["e-1"] = 5
        assert [await house.delivering.round() for _ in range(2)] == [3, 0]
        assert house.store.claims == [("e-1", 3, NOW, NOW + LEASE)]
        may.release()
        await asyncio.sleep(0.01)
        assert await house.delivering.round() == 1
        assert house.store.claims[1:] == [("e-1", 1, NOW, NOW + LEASE)]
        for _ in range(4):
            may.release()
        await house.delivering.settle()
        assert sum(count for *_, count in house.store.taken) == 4

    asyncio.run(main())


@pytest.mark.parametrize(
    ("status", "taken"), [(199, False), (200, True), (204, True), (299, True), (300, False), (404, False), (500, False)]
)
def test_what_is_answered_in_the_two_hundreds_is_taken_and_anything_else_is_sent_again(
    status: int, *, taken: bool
) -> None:
    house = House(saying(status))
    asyncio.run(house.work(due=2))
    assert house.counts.results == ["delivered" if taken else "failed"] * 2
    if taken:
        assert (house.store.taken, house.store.untaken, house.told) == ([("e-1", status, 2)], [], [])
        return
    assert house.store.taken == []
    assert house.store.untaken == [(status, f"answered {status}; wanted 2xx", NOW + timedelta(seconds=5))] * 2
    assert [(it.endpoint_id, it.attempts, it.status, it.given_up) for it in house.told] == [
        ("e-1", 1, status, False)
    ] * 2


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (UnavailableError("nobody answers"), "nobody answers"),
        (InvalidInputError("the address is refused"), "the address is refused"),
        (RuntimeError("token=secret"), "failed on a RuntimeError"),
    ],
)
@pytest.mark.parametrize("where", ["sending", "opening"])
def test_what_cannot_be_opened_or_sent_is_sent_again_and_no_library_s_words_are_kept(
    error: Exception, told: str, where: str
) -> None:
    class Reveals:
        async def payloads(self, events: Sequence[ClaimedEvent]) -> Sequence[bytes]:
            raise error

    house = House(failing(error))
    if where == "opening":
        house.delivering.reveals = Reveals()  # type: ignore[assignment]  # a part of it
    asyncio.run(house.work(due=2))
    assert house.store.untaken == [(None, told, NOW + timedelta(seconds=5))] * 2
    assert house.counts.results == ["failed"] * 2


@pytest.mark.parametrize(("hours", "attempts", "again"), [(71, 30, True), (73, 30, False), (73, 5, True)])
def test_what_was_tried_for_three_days_and_often_is_given_up(hours: int, attempts: int, *, again: bool) -> None:
    house = House(saying(503, "600"))  # whatever the receiver asks for
    house.store.tried_since, house.store.attempts = NOW - timedelta(hours=hours), attempts
    house.clock.at = NOW - LONGEST_WAIT
    asyncio.run(house.work())
    ((_, _, when),) = house.store.untaken
    assert (when is not None, house.told[0].given_up) == (again, not again)
    assert house.counts.results == ["failed" if again else "given up"]


def test_a_receiver_that_is_gone_is_ended_once_for_all_that_was_under_way_and_nothing_is_given_up() -> None:
    house = House(saying(410))
    house.store.tried_since, house.store.attempts = NOW - timedelta(days=9), 99
    asyncio.run(house.work(due=3))
    assert house.gone == ["e-1"]
    assert all(again is not None for *_, again in house.store.untaken)
    assert len(house.store.untaken) == 3
    asyncio.run(house.work())
    assert house.gone == ["e-1"] * 2  # it was enabled, and is gone again


@pytest.mark.parametrize(("asked", "first"), [("1", 5), ("600", 600)])
def test_who_asks_to_be_left_alone_is_and_no_shorter_than_otherwise(asked: str, first: int) -> None:
    house = House(saying(503, asked))
    asyncio.run(house.work())
    assert house.store.untaken[0][2] == NOW + timedelta(seconds=first)
    house.clock.on(timedelta(seconds=int(asked) - 0.5))
    asyncio.run(house.work())
    assert len(house.store.claims) == 1
    house.clock.on(timedelta(seconds=1))
    asyncio.run(house.work())
    assert len(house.store.claims) == 2


@pytest.mark.parametrize(
    ("previous", "until", "signing"),
    [
        (None, None, [b"s"]),
        (b"p", None, [b"s"]),
        (None, NOW + LEASE, [b"s"]),
        (b"p", NOW, [b"s"]),
        (b"p", NOW + timedelta(seconds=1), [b"s", b"p"]),
    ],
)
def test_the_secret_of_before_signs_until_its_time_is_over_and_no_longer(
    previous: bytes | None, until: datetime | None, signing: list[bytes]
) -> None:
    kept = replace(endpoint(), secret=b"s", previous_secret=previous, previous_until=until)
    assert asyncio.run(live_secrets(kept, NOW, reveals=AS_KEPT)) == signing


def test_a_message_says_what_it_is_of_when_and_which_of_its_application_s() -> None:
    event = ClaimedEvent(UUID(int=1), "e-1", "A-1", 7, "decision.made", b"", NOW, 1, NOW, UUID(int=2))
    assert json.loads(body_of(event, b'{"outcome":"approve"}')) == {
        "type": "decision.made", "timestamp": time_text(NOW), "sequence": 7, "data": {"outcome": "approve"},
    }  # fmt: skip


def test_what_was_taken_while_the_store_is_down_is_noted_when_it_is_back() -> None:
    async def main() -> None:
        house = House(saying(202))
        house.store.due["e-1"] = 2
        await house.delivering.round()
        house.store.down = True
        for _ in range(2):
            with pytest.raises(UnavailableError):
                await house.delivering.settle()
        house.store.down = False
        await house.delivering.round()
        assert house.store.taken == [("e-1", 202, 2)]

    asyncio.run(main())


def test_a_failure_that_cannot_be_noted_is_told_as_a_store_that_is_down() -> None:
    async def main() -> None:
        house = House(saying(500))
        house.store.due["e-1"] = 1
        await house.delivering.round()
        house.store.down = True
        await house.delivering.settle()
        assert house.counts.well == {"webhooks": False}

    asyncio.run(main())


def test_what_waits_is_counted_now_and_then_and_what_a_wrong_clock_put_off_is_recalled() -> None:
    async def main() -> None:
        house = House(saying(200))
        house.store.waits = Backlog(pending=3, oldest=NOW - timedelta(seconds=9), dead=2, gone=1)
        assert {name: read() for name, read in house.counts.readings.items()} == dict.fromkeys(
            ("webhooks_pending", "webhooks_dead", "webhooks_gone", "webhooks_oldest_seconds"), 0.0
        )
        for _ in range(2):
            await house.delivering.round()
        assert {name: read() for name, read in house.counts.readings.items()} == {
            "webhooks_pending": 3, "webhooks_dead": 2, "webhooks_gone": 1, "webhooks_oldest_seconds": 9.0,
        }  # fmt: skip
        assert house.store.recalled == [(("e-1",), NOW + LONGEST_WAIT + LEASE)]
        house.clock.at = NOW - timedelta(days=1)
        assert house.counts.readings["webhooks_oldest_seconds"]() == 0.0

    asyncio.run(main())


def test_of_an_endpoint_that_is_no_more_nothing_is_remembered_once_it_answered() -> None:
    async def main() -> None:
        house = House(saying(500))
        for _ in range(5):
            await house.work()
            house.clock.on(timedelta(seconds=1))
        await house.work()
        assert len(house.store.claims) == 5  # it is left alone
        kept, house.store.endpoints_of = house.store.endpoints_of, []
        await house.work()
        house.store.endpoints_of = kept
        await house.work()
        assert [most for _, most, *_ in house.store.claims[5:]] == [3]  # and is as new

    asyncio.run(main())


def test_a_success_takes_back_what_failed_before_it() -> None:
    async def main() -> None:
        statuses = iter([500] * 4 + [200] + [500] * 5)

        async def answers() -> Answered:
            return Answered(next(statuses))

        house = House(answers)
        for _ in range(12):
            await house.work()
            house.clock.on(timedelta(seconds=1))
        assert len(house.store.claims) == 10  # the last five in a row, and then it is left alone

    asyncio.run(main())


def test_what_is_under_way_to_an_endpoint_that_was_disabled_meanwhile_is_noted_all_the_same() -> None:
    async def main() -> None:
        may = asyncio.Event()

        async def answers() -> Answered:
            await may.wait()
            return Answered(200)

        house = House(answers)
        house.store.due["e-1"] = 1
        await house.delivering.round()
        house.store.endpoints_of = []
        await house.delivering.round()
        asyncio.get_running_loop().call_later(0.01, may.set)
        await house.delivering.settle()
        assert house.store.taken == [("e-1", 200, 1)]

    asyncio.run(main())


def test_who_closes_waits_for_a_moment_and_lets_go_of_what_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivering, "_CLOSING_S", 0.01)

    async def main() -> None:
        answers = iter([saying(200), hangs])

        async def each() -> Answered:
            return await next(answers)()

        house = House(each)
        house.store.due["e-1"] = 2
        await house.delivering.round()
        async with asyncio.timeout(5):
            await house.delivering.close()
        assert house.store.taken == [("e-1", 200, 1)]
        assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []

    asyncio.run(main())


def test_it_goes_on_while_the_store_is_down_and_tells_when_it_is_back() -> None:
    async def main() -> None:
        house = House(saying(200))
        house.store.down = True
        going = asyncio.create_task(house.delivering.run())
        wells: list[Any] = []
        for down in (True, False):
            house.store.down, house.store.due["e-1"] = down, 2
            await asyncio.sleep(0.1)
            wells.append(house.counts.well["webhooks"])
        going.cancel()
        assert wells == [False, True]
        assert sum(count for *_, count in house.store.taken) == 2

    asyncio.run(main())
