"""Alerts: applicants of the store who are alike to an entry of the list in force, found again and again as lists change.

Every decision is screened, whatever its outcome, and whether or not it was when it was made: those since the list
came first, then those of before, from the oldest on. It goes in steps, each taken by one process at a time, may be
stopped anywhere, and leaves time to others. A decision whose own screening passed on this very list is not screened twice.

An alert names a decision, an entry and a list, and is an act apart from the decision, so that nothing about the decision, nor
its place in the log, tells of it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from obligor.core.errors import ObligorError, ScreeningError
from obligor.core.leaves import time_text
from obligor.serving.acts import Act, Submission
from obligor.serving.encoding import encode
from obligor.serving.rows import AlertRow

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from obligor.core.profile import GateName
    from obligor.screening.matching import Hit
    from obligor.screening.screener import Screener
    from obligor.serving.acts import Recorder
    from obligor.serving.archive import StoredDecision
    from obligor.serving.gates.aml import AmlColumns, AmlGate, Cleared, Subjects
    from obligor.serving.screening.lists import ListInForce
    from obligor.serving.sources import Sources
    from obligor.serving.telemetry.journal import Telling

SCHEMA: Final = "obligor/alert/1"
AT_ONCE: Final = 100
"""Decisions in one step."""
SHARE: Final = 0.05
"""Of the time, that a service spends on it."""
_LOOK_S: Final = 2.0
_BY: Final = "client:obligor/screening"
"""No client can be called so."""


class Progress(NamedTuple):
    """How far the decisions of the store were screened against a list."""

    list_sha256: str
    began: int
    """The size of the log when it began."""
    past: int
    """The leaf that comes next, of those of before it began."""
    fresh: int
    """The leaf that comes next, of those since."""
    screened: int = 0
    opened: int = 0
    not_comparable: int = 0
    """Decisions without a name, with one that cannot be compared, or whose data were erased: nothing is known of them."""


class AlertArchive(Protocol):
    """Where alerts, and what is screened for them, are found."""

    def alone(self) -> AbstractAsyncContextManager[bool]:
        """Tell whether no other process is at it, and keep others from it meanwhile."""
        ...

    async def progress(self, list_sha256: str) -> Progress:
        """Tell how far a list has come; one that has not begun begins."""
        ...

    async def waits(self, progress: Progress) -> bool:
        """Tell whether any decision is still to be looked at."""
        ...

    async def save_progress(self, progress: Progress, *, at: datetime) -> None:
        """Keep how far a list has come."""
        ...

    async def decisions_from(self, first: int, *, before: int | None, limit: int) -> Sequence[StoredDecision]:
        """Give decisions in the order of the log, from a leaf on (closed) and up to another (open)."""
        ...

    async def standing(self, hits: Sequence[Cleared], *, at: datetime) -> frozenset[Cleared]:
        """Give the hits that need no alert: one is open, was cleared and still holds, or was confirmed, of any version."""
        ...


class _Found(NamedTuple):
    """A hit that may need an alert."""

    stored: StoredDecision
    subject: bytes
    hit: Hit


@dataclass(frozen=True, slots=True)
class Rescreening:
    """Screens the decisions of the store against a list in force.

    Parameters
    ----------
    open_records
        Gives the records of decisions, with what an applicant said in the clear; none of one whose data were erased.
    wanted
        Tells whether the compliance profile in force has screening switched on.
    """

    lists: ListInForce
    archive: AlertArchive
    recorder: Recorder
    sources: Sources
    gate: AmlGate
    subjects: Subjects
    columns: AmlColumns
    open_records: Callable[[Sequence[StoredDecision]], Awaitable[Sequence[Mapping[str, Any] | None]]]
    wanted: Callable[[], bool]

    async def step(self) -> bool:
        """Screen some decisions; False where there is nothing to do now."""
        screener = self.lists.screener
        if screener is None or not self.wanted():
            return False
        if not await self.archive.waits(await self.archive.progress(screener.about.sha256)):
            return False
        async with self.archive.alone() as alone:
            return alone and await self._step(screener)

    async def _step(self, screener: Screener) -> bool:
        progress = await self.archive.progress(screener.about.sha256)
        stored, part = await self.archive.decisions_from(progress.fresh, before=None, limit=AT_ONCE), "fresh"
        if not stored:
            stored, part = (
                await self.archive.decisions_from(progress.past, before=progress.began, limit=AT_ONCE),
                "past",
            )
        if not stored:
            return False
        found, screened, mute = await self._screen(screener, stored)
        opened, after = await self._open(screener, found), stored[-1].leaf_index + 1
        await self.archive.save_progress(
            progress._replace(
                past=after if part == "past" else progress.past,
                fresh=after if part == "fresh" else progress.fresh,
                screened=progress.screened + screened,
                opened=progress.opened + opened,
                not_comparable=progress.not_comparable + mute,
            ),
            at=self.sources.now(),
        )
        return True

    async def _screen(
        self, screener: Screener, stored: Sequence[StoredDecision]
    ) -> tuple[dict[Cleared, _Found], int, int]:
        """Give the hits among some decisions, each person and entry once, and how many were screened, and could not be."""
        found: dict[Cleared, _Found] = {}
        screened = mute = 0
        for it, record in zip(stored, await self.open_records(stored), strict=True):
            if record is None:
                mute += 1
                continue
            if _passed(record, self.gate.name, screener):
                continue
            try:
                asked = self.columns.asked(record["input"], screener)
            except ScreeningError:
                mute += 1
                continue
            hits = [hit for each in await self.gate.find_aside(screener, asked) for hit in each]
            screened += 1
            if hits:
                number = record["input"].get(self.columns.number)
                name = record["application_id"] or str(it.decision_id)
                subject = self.subjects.of_person(asked, number=number, application_id=name)
                for hit in hits:
                    found.setdefault((subject, hit.entry, hit.version), _Found(it, subject, hit))
        return found, screened, mute

    async def _open(self, screener: Screener, found: Mapping[Cleared, _Found]) -> int:
        """Open alerts for the hits that have none."""
        if not found:
            return 0
        at = self.sources.now()
        standing = await self.archive.standing([*found], at=at)
        acts = tuple(self._act(screener, it, at) for key, it in found.items() if key not in standing)
        if acts:
            await self.recorder.record(Submission(acts, lambda _: b""))
        return len(acts)

    def _act(self, screener: Screener, found: _Found, at: datetime) -> Act:
        hit, screening = found.hit, screener.screening((), today=at.date())
        row = AlertRow(
            self.sources.new_id(at),
            found.stored.decision_id,
            found.stored.client_id,
            found.subject,
            hit.entry,
            hit.version,
            round(hit.score * 10_000),
            screening.snapshot_sha256,
            at,
        )
        said = {
            "schema": SCHEMA,
            "alert_id": str(row.alert_id),
            "decision_id": str(row.decision_id),
            "client_id": row.client_id,
            "subject": row.subject.hex(),
            "entry": row.entry,
            "entry_sha256": row.entry_sha256,
            "score": row.score,
            "list_sha256": row.list_sha256,
            "algorithm": screening.algorithm,
            "rules_sha256": screening.config_sha256,
            "opened_at": time_text(at),
            "why": dict(_why(hit)),
        }
        return Act("alert.opened", at, _BY, str(row.alert_id), encode(said), self.sources.salt(), (row,))

    async def run(self, journal: Telling) -> None:
        """Go on for as long as the service runs, with a small share of its time; what fails is tried again later."""
        while True:
            started = perf_counter()
            try:
                more = await self.step()
            except ObligorError as error:
                journal.failed("rescreening_failed", error, level="warning")
                more = False
            took = perf_counter() - started
            await asyncio.sleep(took * (1 - SHARE) / SHARE if more else _LOOK_S)


def _passed(record: Mapping[str, Any], name: GateName, screener: Screener) -> bool:
    """Tell whether a decision was screened against this very list, by the same rules, and passed."""
    gate = record.get("gates", {}).get(name, {})
    evidence = gate.get("evidence", {})
    same = (screener.about.sha256, screener.config_sha256)
    return gate.get("result") == "pass" and (evidence.get("list_sha256"), evidence.get("rules_sha256")) == same


def _why(hit: Hit) -> Iterator[tuple[str, object]]:
    """Say why it is a hit by what the list says, and by nothing that the applicant said."""
    yield "name", hit.name.text
    yield "strength", hit.name.strength
    yield "kind", hit.kind
    yield "programmes", list(hit.programmes)
    yield "born", hit.born
