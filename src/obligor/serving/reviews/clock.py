"""Watches the clocks of reviews: which wait for an answer that is late."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from obligor.core.errors import ObligorError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.reviews.review import ReviewArchive
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter

_LOOK_SECONDS: Final = 60.0


class ReviewClock:
    """Tells the journal once of each review that is late, and counts those that are late and open still."""

    def __init__(self, reviews: ReviewArchive, *, now: Callable[[], datetime], meter: Meter, journal: Telling) -> None:
        self._reviews = reviews
        self._now = now
        self._journal = journal
        self._late: frozenset[UUID] = frozenset()
        meter.watch("reviews_late", lambda: float(len(self._late)))

    async def look(self) -> None:
        """Look which reviews are late now."""
        at = self._now()
        late = [it for it in await self._reviews.open_reviews() if it.late(at)]
        for it in late:
            if it.review_id not in self._late:
                said = {"review_id": str(it.review_id), "decision_id": str(it.decision_id)}
                self._journal.tell("review_late", level="warning", **said)
        self._late = frozenset(it.review_id for it in late)

    async def run(self) -> None:
        """Look every minute; where the store does not answer, again the next."""
        while True:
            try:
                await self.look()
            except ObligorError as error:
                self._journal.failed("reviews_failed", error, level="warning")
            await asyncio.sleep(_LOOK_SECONDS)
