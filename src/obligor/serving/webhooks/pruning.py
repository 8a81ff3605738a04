"""Events that were delivered or given up long ago are pruned, a few at a time.

What they told stands in the record of the act that they told of, which stays. An event goes once all of its endpoints are done
with it, and no legal hold is on the person whom it is about.
"""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from obligor.core.errors import ObligorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from obligor.serving.telemetry.journal import Telling

AT_ONCE: Final = 100
"""Deliveries that are looked at in one step."""
SHARE: Final = 0.05
"""Of the time, that a service spends on it while there is something to prune."""
_EVERY_S: Final = 3600.0


class Pruned(NamedTuple):
    """What came of a step."""

    seen: int
    reached: datetime | None
    """When the last of those seen was settled."""
    pruned: int
    """Events that are gone."""


class Prunable(Protocol):
    """Where events are kept."""

    async def prune(self, *, before: datetime, after: datetime | None, most: int) -> Pruned:
        """Prune some of the events that were settled before a time, those first that were settled first."""
        ...


class Pruning:
    """Prunes, hour by hour, what was settled longer ago than it is kept."""

    def __init__(self, store: Prunable, *, now: Callable[[], datetime], keep: timedelta, journal: Telling) -> None:
        self._store, self._now, self._keep, self._journal = store, now, keep, journal

    async def prune(self) -> int:
        """Prune all that is over, with a rest after each step; give how many events that was."""
        before, after, count = self._now() - self._keep, None, 0
        while True:
            started = perf_counter()
            step = await self._store.prune(before=before, after=after, most=AT_ONCE)
            count += step.pruned
            if step.seen < AT_ONCE or step.reached == after:
                return count
            after = step.reached
            await asyncio.sleep((perf_counter() - started) * (1 - SHARE) / SHARE)

    async def run(self) -> None:
        """Go on for as long as the service runs; what fails is tried again an hour later."""
        while True:
            try:
                await self.prune()
            except ObligorError as error:
                self._journal.failed("pruning_failed", error, level="warning")
            await asyncio.sleep(_EVERY_S)
