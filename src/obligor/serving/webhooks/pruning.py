"""Events that were delivered or given up long ago are pruned, a few at a time; what was not tried for as long is given up.

What they told stands in the record of the act that they told of, which stays. An event goes once all of its endpoints are done
with it, and no legal hold is on the person whom it is about. What waits at an endpoint that was disabled, is gone, or fails and
has more waiting than is tried, would wait for ever: it becomes a dead letter first, which stays as long again, so that neither
a person who enables the endpoint late nor a clock that was ahead loses it at once.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from obligor.core.errors import ObligorError
from obligor.serving.webhooks.retrying import GIVEN_UP_AFTER

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

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

    async def give_up(self, *, before: datetime, at: datetime, trouble: str, most: int) -> int:
        """Give up some of what was to be tried before a time and was not; give how many that is."""
        ...

    async def prune(self, *, before: datetime, after: datetime | None, most: int) -> Pruned:
        """Prune some of the events that were settled before a time, those first that were settled first."""
        ...


class Pruning:
    """Gives up, hour by hour, what waits for longer than it is kept, and prunes what was settled longer ago."""

    def __init__(self, store: Prunable, *, now: Callable[[], datetime], keep: timedelta, journal: Telling) -> None:
        self._store, self._now, self._keep, self._journal = store, now, keep, journal

    async def give_up(self) -> int:
        """Give up all that was not tried for as long as events are kept, with a rest after each step; give how many."""
        at, count, step = self._now(), 0, AT_ONCE
        kept = max(self._keep, GIVEN_UP_AFTER + timedelta(days=1))  # who tries is to give up first
        while step == AT_ONCE:
            started = perf_counter()
            trouble = f"was not tried for {kept.days} days"
            step = await self._store.give_up(before=at - kept, at=at, trouble=trouble, most=AT_ONCE)
            count += step
            await _rest(started)
        if count:
            self._journal.tell("webhooks_given_up", level="warning", dependency="webhooks", events=count)
        return count

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
            await _rest(started)

    async def run(self) -> None:
        """Go on for as long as the service runs; what fails is tried again an hour later."""
        while True:
            try:
                await self.give_up()
                await self.prune()
            except ObligorError as error:
                self._journal.failed("pruning_failed", error, level="warning")
            await asyncio.sleep(_EVERY_S)


async def _rest(started: float) -> None:
    await asyncio.sleep((perf_counter() - started) * (1 - SHARE) / SHARE)
