"""When what failed is tried again, and when an address that fails is left alone.

A wait doubles with each attempt, up to some hours, and chance takes up to half of it away, so that what failed together does
not come back together. A receiver that says when to come again (``Retry-After`` of a 429 or a 503) is left alone until then,
but for no longer than our own waits grow. An event that was not taken in 72 hours is given up, once enough attempts were
spent on it as well: days in which no service ran, or its endpoint was left alone, are no reason. It stays, as a dead letter,
until a person sends it again.

A clock may be set back. So whoever waits for longer than anybody is ever made to wait by a clock that was ahead waits no more.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(hours=4)
GIVEN_UP_AFTER: Final = timedelta(hours=72)
LEAST_ATTEMPTS: Final = 24
"""Before an event is given up: 72 hours have room for 29, and for more where chance takes from the waits."""
GONE: Final = 410
_SAY_WHEN: Final = frozenset({429, 503})
_LONGEST_SAID: Final = 64
"""Characters: a date of HTTP has 29."""
_MOST_DOUBLINGS: Final = 20
_FAILURES: Final = 5
_FIRST_REST: Final = timedelta(seconds=30)
_LONGEST_REST: Final = timedelta(minutes=15)


def said_when(status: int, retry_after: str, *, at: datetime) -> datetime | None:
    """Read when a receiver wants to be asked again: seconds or a date (RFC 9110), at most the longest of our own waits away.

    None where it does not say so, or says what nobody can read, or a time that has passed.
    """
    if status not in _SAY_WHEN or len(retry_after) > _LONGEST_SAID or not retry_after.isascii():
        return None
    latest = at + LONGEST_WAIT
    if retry_after.isdigit():
        return at + timedelta(seconds=min(int(retry_after), int(LONGEST_WAIT.total_seconds())))
    try:
        said = parsedate_to_datetime(retry_after)
        said = said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return min(said, latest) if said > at else None


def next_attempt(attempts: int, *, since: datetime, at: datetime, chance: float) -> datetime | None:
    """Give when to try again after so many attempts; None: it is given up.

    Parameters
    ----------
    since
        When it was sent first.
    chance
        0 to 1: how much of the chance's half of the wait is taken away.
    """
    again = at + _waited(FIRST_WAIT, attempts - 1, LONGEST_WAIT, chance)
    return again if attempts < LEAST_ATTEMPTS or again <= since + GIVEN_UP_AFTER else None


@dataclass(slots=True)
class Breaker:
    """Leaves an address alone that failed several times in a row, then lets one attempt find out."""

    failures: int = 0
    rests_until: datetime | None = None
    asked_until: datetime | None = None
    """Until when the receiver asked to be left alone; an answer to what was under way already takes nothing of it back."""

    def room(self, at: datetime, most: int) -> int:
        """Give how many attempts may be under way: all, one to find out, or none."""
        if _lasts(self.asked_until, at, LONGEST_WAIT):
            return 0
        if self.rests_until is None:
            return most
        return 0 if _lasts(self.rests_until, at, _LONGEST_REST) else 1

    def succeeded(self) -> None:
        """Note that it answered."""
        self.failures, self.rests_until = 0, None

    def asked(self, until: datetime) -> None:
        """Note that the receiver asked to be left alone until then."""
        self.asked_until = until if self.asked_until is None else max(until, self.asked_until)

    def failed(self, at: datetime, *, chance: float) -> None:
        """Note that it did not; of those that were under way together, what fails after it is left alone tells nothing new."""
        if _lasts(self.rests_until, at, _LONGEST_REST):
            return
        self.failures += 1
        if self.failures >= _FAILURES:
            self.rests_until = at + _waited(_FIRST_REST, self.failures - _FAILURES, _LONGEST_REST, chance)


def _lasts(until: datetime | None, at: datetime, longest: timedelta) -> bool:
    """Tell whether it is not that time yet, nor so far from it as only a clock that was ahead could say."""
    return until is not None and at < until <= at + longest


def _waited(first: timedelta, doublings: int, longest: timedelta, chance: float) -> timedelta:
    whole: timedelta = min(first * 2.0 ** min(doublings, _MOST_DOUBLINGS), longest)
    return whole * (1 - chance / 2)
