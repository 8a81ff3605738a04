"""How often something may be done by one who could go on without end: so many times at once, and then one every so often.

It is the generic cell rate algorithm (ITU-T I.371). Whoever does it counts by a name of their own: neither another address, nor
another key, nor what a header claims gives them more.
"""

from __future__ import annotations

import time
from math import ceil, inf
from typing import TYPE_CHECKING, Final

from obligor.core.errors import LimitedError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

TRIES: Final = 600
TRY_EVERY_S: Final = 0.1
_MOST_KEPT: Final = 10_000


class Pace:
    """Holds each name to its pace; belongs to one process. Where one comes every zero seconds, nobody ever waits."""

    def __init__(
        self,
        burst: int = TRIES,
        every_s: float = TRY_EVERY_S,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        most_kept: int = _MOST_KEPT,
    ) -> None:
        self._burst_s, self._every_s, self._monotonic, self._most = burst * every_s, every_s, monotonic, most_kept
        self._free_at: dict[Hashable, float] = {}
        """The instant at which a name has all its times again; those that came longest ago are forgotten first."""

    def take(self, name: Hashable, *, told: str) -> None:
        """Take one time of a name.

        Raises
        ------
        LimitedError
            Where it has none left; ``told`` says of what.
        """
        wait = self.wait(name)
        if wait:
            raise LimitedError(told, retry_after=max(1, ceil(wait)))
        self.count(name)

    def wait(self, name: Hashable) -> float:
        """Give the seconds until a name has a time left; zero where it has one now."""
        free_at = self._free_at.get(name)
        if free_at is None:
            return 0.0
        wait = free_at + self._every_s - self._monotonic() - self._burst_s
        return wait if wait > self._every_s / 1000 else 0.0  # what rounding leaves is no reason

    def count(self, name: Hashable, times: int = 1) -> None:
        """Count what was done, so many times, whether or not there was one left."""
        free_at = max(self._free_at.pop(name, -inf), self._monotonic()) + times * self._every_s
        if len(self._free_at) >= self._most:
            del self._free_at[next(iter(self._free_at))]
        self._free_at[name] = free_at
