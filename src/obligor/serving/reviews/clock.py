"""Watches the clocks of reviews and of applications that are held: which wait for an answer that is late."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, Final

from obligor.core.errors import InFlightError, ObligorError
from obligor.core.leaves import time_text
from obligor.governance.law.packs import held_due
from obligor.serving.reviews.lateness import late_hold, late_review
from obligor.serving.reviews.review import Held

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from obligor.governance.law.packs import Pack
    from obligor.serving.reviews.lateness import Lateness
    from obligor.serving.reviews.review import ReviewArchive
    from obligor.serving.telemetry.journal import Telling
    from obligor.serving.telemetry.meter import Meter

_LOOK_SECONDS: Final = 60.0
_LOOK_AT_HELD_SECONDS: Final = 300.0
_ON_ITS_WAY: Final = timedelta(minutes=1)
"""For so long an answer that was given in time may still be being recorded."""


class ReviewClock:
    """Has each review that is late recorded, once, and counts those that are late and open still."""

    def __init__(
        self,
        reviews: ReviewArchive,
        lateness: Lateness,
        *,
        now: Callable[[], datetime],
        meter: Meter,
        journal: Telling,
    ) -> None:
        self._reviews, self._lateness, self._now, self._journal = reviews, lateness, now, journal
        self._late = 0
        meter.watch("reviews_late", lambda: float(self._late))

    async def look(self) -> None:
        """Look which reviews are late now; one that cannot be recorded keeps no other from it."""
        at = self._now()
        late = [it for it in await self._reviews.open_reviews() if it.late(at)]
        self._late = len(late)
        for it in late:
            if it.told_late_at is None and it.late(at - _ON_ITS_WAY):
                said = {"review_id": str(it.review_id), "decision_id": str(it.decision_id)}
                try:
                    if await self._lateness.record(late_review(it)):
                        self._journal.tell("review_late", level="warning", **said)
                except InFlightError:
                    continue  # somebody else records it
                except ObligorError as error:
                    self._journal.failed("reviews_failed", error, level="warning", **said)

    async def run(self) -> None:
        """Look every minute; where the store does not answer, again the next."""
        while True:
            try:
                await self.look()
            except ObligorError as error:
                self._journal.failed("reviews_failed", error, level="warning")
            await asyncio.sleep(_LOOK_SECONDS)


class HeldClock:
    """Counts the applications that are held, and has each that is held for too long recorded, once.

    That is longer than the lender says (``within``), or than a rule pack leaves for a notice, whichever is over first.
    """

    def __init__(
        self,
        reviews: ReviewArchive,
        lateness: Lateness,
        *,
        within: timedelta,
        packs: Sequence[Pack] = (),
        now: Callable[[], datetime],
        meter: Meter,
        journal: Telling,
    ) -> None:
        self._reviews, self._lateness, self._now, self._journal = reviews, lateness, now, journal
        self._within, self._packs = within, tuple(packs)
        self._held = Held(0, 0, None)
        meter.watch("held", lambda: float(self._held.count))
        meter.watch("held_late", lambda: float(self._held.late))
        meter.watch("held_oldest_seconds", self._oldest_seconds)

    def _oldest_seconds(self) -> float:
        return 0.0 if self._held.since is None else (self._now() - self._held.since).total_seconds()

    async def look(self) -> None:
        """Look which applications are held now: all that there ever were the first time, and then what was left and is new."""
        at, known = self._now(), self._held
        before = self._late_before(at)
        while (found := await self._reviews.held(known, before=before)).next > known.next:
            known = found
        self._held = found
        for it in await self._reviews.held_late(found, before=self._late_before(at - _ON_ITS_WAY)):
            due_at, pack = self._due(it.decided_at)
            said = {"decision_id": str(it.decision_id), "due_at": time_text(due_at)}
            try:
                if await self._lateness.record(late_hold(it, due_at=due_at, pack=pack)):
                    self._journal.tell("held_late", level="warning", **said)
            except InFlightError:
                continue  # somebody else records it
            except ObligorError as error:
                self._journal.failed("held_failed", error, level="warning", **said)

    def _due(self, since: datetime) -> tuple[datetime, str]:
        """Give the instant from which who is held since a time is late, and by which pack; empty: by the lender's own days."""
        own, law = since + self._within, held_due(self._packs, applied=since.astimezone(UTC).date())
        if law is None or own <= _midnight_after(law.by):
            return own, ""
        return _midnight_after(law.by), law.pack

    def _late_before(self, at: datetime) -> datetime:
        """Give the time since before which nobody is held who is not late."""
        own, day = at - self._within, at.astimezone(UTC).date()
        while _midnight_after(day) > own:
            law = held_due(self._packs, applied=day)
            if law is not None and _midnight_after(law.by) <= at:
                return _midnight_after(day)
            day -= timedelta(days=1)
        return own

    async def run(self) -> None:
        """Look every five minutes; where the store does not answer, again in as long."""
        while True:
            try:
                await self.look()
            except ObligorError as error:
                self._journal.failed("held_failed", error, level="warning")
            await asyncio.sleep(_LOOK_AT_HELD_SECONDS)


def _midnight_after(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), tzinfo=UTC)
