"""When what failed is tried again, and when an address that fails is left alone.

A wait doubles with each attempt, up to some hours, and chance takes up to half of it away, so that what failed together does
not come back together. An event that was not taken in 72 hours is given up: it stays, as a dead letter, until a person sends
it again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from datetime import datetime

FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(hours=4)
GIVEN_UP_AFTER: Final = timedelta(hours=72)
_MOST_DOUBLINGS: Final = 20
_FAILURES: Final = 5
_FIRST_REST: Final = timedelta(seconds=30)
_LONGEST_REST: Final = timedelta(minutes=15)


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
    return again if again <= since + GIVEN_UP_AFTER else None


@dataclass(slots=True)
class Breaker:
    """Leaves an address alone that failed several times in a row, then lets one attempt find out."""

    failures: int = 0
    rests_until: datetime | None = None

    def room(self, at: datetime, most: int) -> int:
        """Give how many attempts may be under way: all, one to find out, or none."""
        if self.rests_until is None:
            return most
        return 1 if at >= self.rests_until else 0

    def succeeded(self) -> None:
        """Note that it answered."""
        self.failures, self.rests_until = 0, None

    def failed(self, at: datetime, *, chance: float) -> None:
        """Note that it did not; of those that were under way together, what fails after it is left alone tells nothing new."""
        if self.rests_until is not None and at < self.rests_until:
            return
        self.failures += 1
        if self.failures >= _FAILURES:
            self.rests_until = at + _waited(_FIRST_REST, self.failures - _FAILURES, _LONGEST_REST, chance)


def _waited(first: timedelta, doublings: int, longest: timedelta, chance: float) -> timedelta:
    whole: timedelta = min(first * 2.0 ** min(doublings, _MOST_DOUBLINGS), longest)
    return whole * (1 - chance / 2)
