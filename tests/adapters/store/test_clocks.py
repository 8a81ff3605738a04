"""Clocks that are wrong: the order of acts is that of the log, its time never goes back, and what a clock said is kept."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import psycopg
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.keyrings import stored_keyring
from tests.lending import NOON, Clock, lending
from tests.stores import submission

from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.leaves import parse_leaf
from obligor.serving.archive import Search

if TYPE_CHECKING:
    from collections.abc import Sequence


START = NOON + timedelta(days=2)
"""Long enough after the profile of the tests came into force."""


def _log(url: str) -> list[tuple[datetime, datetime, str]]:
    """Give of each decision, in the order of the log: the log's time, the time of who decided, and its application."""
    query = """
        SELECT leaf.body, record.body FROM obligor.leaf JOIN obligor.record ON leaf_index = index
        WHERE kind = 'decision' ORDER BY index
    """
    with psycopg.connect(url) as connection:
        found = [(parse_leaf(leaf), json.loads(record)) for leaf, record in connection.execute(query)]
    applications = {stored_keyring(url).tag(f"c{at}"): f"c{at}" for at in range(100)}
    return [
        (leaf.at, datetime.fromisoformat(said["decided_at"]), applications[said["application_id"]])
        for leaf, said in found
    ]


def _decide_at(url: str, offsets: Sequence[timedelta], *, first: int = 0) -> list[tuple[datetime, datetime, str]]:
    """Decide one application after the other, with the clock set before each."""

    async def decided() -> None:
        clock = Clock()
        async with lending(url, clock=clock, seed=first) as lender:
            for at, offset in enumerate(offsets):
                clock.now = START + timedelta(seconds=10 * at) + offset
                await lender.decide(1, first=first + at)

    asyncio.run(decided())
    return _log(url)


def test_a_clock_that_is_set_back_an_hour_does_not_take_the_log_back(store_url: str) -> None:
    hour = timedelta(hours=1)
    log = _decide_at(store_url, [timedelta(), -hour, -hour, timedelta()])
    assert [application for _, _, application in log] == ["c0", "c1", "c2", "c3"]
    (first, second, third, fourth) = [at for at, _, _ in log]
    assert first == second == third < fourth
    assert [at - said > timedelta(minutes=59) for at, said, _ in log] == [False, True, True, False]


def test_a_clock_that_was_a_day_ahead_holds_the_log_s_time_until_others_catch_up(store_url: str) -> None:
    day = timedelta(days=1)
    log = _decide_at(store_url, [timedelta(), day, timedelta(), timedelta(), day + timedelta(minutes=1)])
    assert [application for _, _, application in log] == ["c0", "c1", "c2", "c3", "c4"]
    (_, ahead, third, fourth, last) = [at for at, _, _ in log]
    assert ahead == third == fourth < last
    assert log[2][1] < log[1][1] - timedelta(hours=23)  # the record tells when it was


def test_whatever_the_clock_says_the_log_s_time_never_goes_back_and_the_record_keeps_what_it_said(
    store_url: str,
) -> None:
    written: list[datetime] = []

    @given(st.lists(st.integers(-90_000, 90_000), min_size=1, max_size=6))
    @settings(max_examples=12)
    def hold(seconds: list[int]) -> None:
        offsets = [timedelta(seconds=each) for each in seconds]
        log = _decide_at(store_url, offsets, first=len(written))
        written.extend(START + timedelta(seconds=10 * at + 1) + offset for at, offset in enumerate(offsets))
        times = [at for at, _, _ in log]
        assert times == sorted(times)
        assert [told for _, told, _ in log] == written
        assert all(at >= told for at, told, _ in log)

    hold()


def test_two_recorders_five_minutes_apart_keep_one_order(store_url: str) -> None:
    """Two processes of the service on machines whose clocks differ write in turn and at once."""

    async def recorded() -> list[int]:
        async with PostgresRecorder(store_url) as here, PostgresRecorder(store_url) as there:
            indices = []
            for at in range(6):
                recorder, offset = (here, timedelta()) if at % 2 else (there, timedelta(minutes=5))
                done = await recorder.record(submission(f"turn-{at}", at=NOON + timedelta(seconds=at) + offset))
                indices.append(done.leaf_index)
            many = [
                recorder.record(submission(f"{name}-{at}", at=NOON + timedelta(seconds=at) + offset))
                for at in range(20)
                for name, recorder, offset in (("here", here, timedelta()), ("there", there, timedelta(minutes=5)))
            ]
            return indices + [done.leaf_index for done in await asyncio.gather(*many)]

    indices = asyncio.run(recorded())
    assert indices[:6] == [0, 1, 2, 3, 4, 5]
    assert sorted(indices) == list(range(46))
    with psycopg.connect(store_url) as connection:
        times = [parse_leaf(row[0]).at for row in connection.execute("SELECT body FROM obligor.leaf ORDER BY index")]
    assert times == sorted(times)
    assert times[1] == times[0] == NOON + timedelta(minutes=5)


LEAP = datetime(2027, 6, 30, 23, 59, 59, tzinfo=UTC)
"""The last second of a half-year, which a clock that knows leap seconds shows twice."""


def _decide_when(url: str, times: Sequence[datetime]) -> list[tuple[datetime, datetime, str]]:
    async def decided() -> None:
        clock = Clock(START)
        async with lending(url, clock=clock) as lender:
            for at, time in enumerate(times):
                clock.now = time - timedelta(
                    seconds=1
                )  # it goes a second at the first look, which is the decision's time
                await lender.decide(1, first=at)

    asyncio.run(decided())
    return _log(url)


def test_a_second_that_comes_twice_does_not_take_the_log_back(store_url: str) -> None:
    milli = timedelta(milliseconds=1)
    shown = [LEAP + 100 * milli, LEAP + 900 * milli, LEAP + 100 * milli, LEAP + 950 * milli, LEAP + 1000 * milli]
    log = _decide_when(store_url, shown)
    assert [said for _, said, _ in log] == shown
    assert [at for at, _, _ in log] == [*shown[:2], shown[1], *shown[3:]]


def test_the_hour_that_summer_time_shows_twice_is_two_hours_in_the_log(store_url: str) -> None:
    """Half past two of 31 October 2027 in Berlin comes twice; the server speaks Berlin's time to everybody."""
    name, zone = store_url.partition("?")[0].rpartition("/")[2], ZoneInfo("Europe/Berlin")
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Berlin'".encode())
    twice = [datetime(2027, 10, 31, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    log = _decide_when(store_url, [time.astimezone(UTC) for time in twice])
    assert [said.isoformat() for _, said, _ in log] == ["2027-10-31T00:30:00+00:00", "2027-10-31T01:30:00+00:00"]
    assert [at for at, _, _ in log] == [said for _, said, _ in log]

    async def found(since: datetime, until: datetime) -> int:
        async with lending(store_url) as lender:
            return len(await lender.archive.search(Search(since=since, until=until)))

    half = timedelta(minutes=30)
    for time in (it.astimezone(UTC) for it in twice):
        assert asyncio.run(found(time - half, time + half)) == 1
