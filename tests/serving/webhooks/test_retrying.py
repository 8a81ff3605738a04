"""What failed is tried again ever later, never all at once, and for 72 hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obligor.serving.webhooks.retrying import (
    FIRST_WAIT,
    GIVEN_UP_AFTER,
    LEAST_ATTEMPTS,
    LONGEST_WAIT,
    Breaker,
    next_attempt,
    said_when,
)

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
CHANCES = st.floats(0, 1)


@given(st.integers(1, 10_000), CHANCES)
def test_a_wait_is_between_half_of_it_and_all_of_it_and_never_more_than_some_hours(
    attempts: int, chance: float
) -> None:
    again = next_attempt(attempts, since=NOON, at=NOON, chance=chance)
    assert again is not None
    whole = min(FIRST_WAIT * 2.0 ** min(attempts - 1, 30), LONGEST_WAIT)
    assert whole / 2 <= again - NOON <= whole


@given(st.integers(1, 40), CHANCES)
def test_the_next_wait_is_no_shorter(attempts: int, chance: float) -> None:
    first, second = (next_attempt(it, since=NOON, at=NOON, chance=chance) for it in (attempts, attempts + 1))
    assert first is not None
    assert second is not None
    assert first <= second


@given(st.lists(CHANCES, min_size=1, max_size=30))
def test_an_event_is_tried_for_72_hours_and_not_longer(chances: list[float]) -> None:
    at, attempts = NOON, 1
    while (again := next_attempt(attempts, since=NOON, at=at, chance=chances[attempts % len(chances)])) is not None:
        assert at < again <= NOON + GIVEN_UP_AFTER
        at, attempts = again, attempts + 1
    assert at >= NOON + GIVEN_UP_AFTER - LONGEST_WAIT
    assert 15 < attempts < 100


@given(st.integers(1, 200), st.floats(72, 10_000), CHANCES)
def test_days_in_which_nothing_was_tried_give_nothing_up(attempts: int, hours: float, chance: float) -> None:
    again = next_attempt(attempts, since=NOON - timedelta(hours=hours), at=NOON, chance=chance)
    assert (again is None) == (attempts >= LEAST_ATTEMPTS)


def test_72_hours_have_room_for_more_attempts_than_it_takes_to_give_an_event_up() -> None:
    waits = [min(FIRST_WAIT * 2.0**doublings, LONGEST_WAIT) for doublings in range(LEAST_ATTEMPTS)]
    assert timedelta(hours=48) < sum(waits, timedelta()) < GIVEN_UP_AFTER


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 60)), max_size=60), CHANCES)
def test_a_breaker_lets_all_in_after_a_success_and_no_more_than_one_while_it_is_not_known(
    history: list[tuple[bool, float]], chance: float
) -> None:
    breaker, at, failed = Breaker(), NOON, 0
    for well, minutes in history:
        at += timedelta(minutes=minutes)
        if well:
            breaker.succeeded()
            failed = 0
        else:
            breaker.failed(at, chance=chance)
            failed += 1
        assert breaker.room(at, 8) == (0 if failed >= 5 else 8)
        assert breaker.room(at + timedelta(minutes=15), 8) == (1 if failed >= 5 else 8)


def test_what_fails_together_is_one_sign_and_not_many() -> None:
    breaker = Breaker()
    for _ in range(16):
        breaker.failed(NOON, chance=0.0)
    assert breaker.room(NOON + timedelta(seconds=29), 16) == 0
    assert breaker.room(NOON + timedelta(seconds=30), 16) == 1
    breaker.failed(NOON + timedelta(seconds=30), chance=0.0)
    assert breaker.room(NOON + timedelta(seconds=89), 16) == 0, "the one that found out counts"


@pytest.mark.parametrize(
    ("said", "wait"),
    [
        ("120", timedelta(minutes=2)),
        ("0", timedelta()),
        ("Thu, 26 Nov 2026 12:02:00 GMT", timedelta(minutes=2)),
        ("Thursday, 26-Nov-26 12:02:00 GMT", timedelta(minutes=2)),
        ("Thu Nov 26 12:02:00 2026", timedelta(minutes=2)),
        ("Thu, 26 Nov 2026 14:02:00 +0200", timedelta(minutes=2)),
        ("99999999999999999999", LONGEST_WAIT),
        ("Thu, 26 Nov 2099 12:02:00 GMT", LONGEST_WAIT),
    ],
)
def test_a_receiver_says_when_to_come_again_in_seconds_or_by_a_date(said: str, wait: timedelta) -> None:
    assert said_when(429, said, at=NOON) == said_when(503, said, at=NOON) == NOON + wait


@pytest.mark.parametrize(
    "said",
    [
        *("", "-5", "1.5", "1e3", "٣", "soon", "0x10", "120 ", "Thu, 26 Nov 2026 11:59:59 GMT", "1" * 65),
        *("Thu, 26 Nov 99999 12:00:00 GMT", "Thu, 31 Feb 2027 12:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359"),
    ],
)
def test_what_nobody_can_read_or_has_passed_is_no_time_to_come_again(said: str) -> None:
    assert said_when(429, said, at=NOON) is None


@given(st.integers(100, 599), st.text(max_size=70))
def test_whatever_is_said_it_is_no_time_in_the_past_nor_far_from_now(status: int, said: str) -> None:
    wanted = said_when(status, said, at=NOON)
    assert wanted is None or (status in (429, 503) and NOON <= wanted <= NOON + LONGEST_WAIT)


def test_who_asked_to_be_left_alone_is_whatever_was_under_way_is_answered() -> None:
    breaker = Breaker()
    breaker.asked(NOON + timedelta(minutes=2))
    breaker.asked(NOON + timedelta(minutes=1))
    breaker.succeeded()
    assert breaker.room(NOON + timedelta(seconds=119), 16) == 0
    assert breaker.room(NOON + timedelta(minutes=2), 16) == 16


def test_who_is_left_alone_by_a_clock_that_was_ahead_is_tried_once_it_is_set_back() -> None:
    breaker = Breaker()
    for _ in range(5):
        breaker.failed(NOON, chance=0.0)
    breaker.asked(NOON + timedelta(hours=4))
    assert breaker.room(NOON, 8) == 0
    before = NOON - timedelta(hours=1)
    assert breaker.room(before, 8) == 1
    breaker.failed(before, chance=0.0)
    assert breaker.room(before, 8) == 0
