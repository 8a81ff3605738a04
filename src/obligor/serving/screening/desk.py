"""The desk where people look at alerts, clear those that are of somebody else, and confirm and report those that are not.

Who may not read alerts is told that there is none, as for one that never was.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, NotFoundError
from obligor.core.leaves import time_text
from obligor.governance.law.reporting import is_yearly_late
from obligor.security.permissions import allow_person, may
from obligor.serving.acts import Submission
from obligor.serving.answers import with_receipt
from obligor.serving.idempotency import request_saying
from obligor.serving.once import once
from obligor.serving.said import read_said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.once import Answers
    from obligor.serving.rows import AlertReportRow, YearlyReportRow
    from obligor.serving.screening.alert_steps import Said, StoredAlert
    from obligor.serving.screening.reports import YearlyReports
    from obligor.serving.sources import Sources

MOST_LISTED: Final = 200


class Alerts(Protocol):
    """Where alerts are found."""

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        """Find an alert."""
        ...

    async def alerts(self, *, limit: int) -> Sequence[StoredAlert]:
        """Give the alerts that nobody has cleared: those that wait, then those confirmed, each the most alike first."""
        ...

    async def yearly_reports(self) -> YearlyReports:
        """Give what was said of yearly reports, and what they may name."""
        ...


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """The queue of alerts."""

    archive: Alerts
    answers: Answers
    recorder: Recorder
    sources: Sources

    async def alerts(self, caller: Caller) -> dict[str, Any]:
        """Give the alerts that wait for somebody, those that were confirmed, and what was said of yearly reports.

        Raises
        ------
        NotFoundError
            Where the caller may not know of any.
        """
        _check_reader(caller)
        return {"alerts": await self.waiting(), "yearly_reports": await self.yearly_reports()}

    async def waiting(self) -> list[dict[str, Any]]:
        """Give the alerts that nobody has cleared."""
        at = self.sources.now()
        return [plain(it, at) for it in await self.archive.alerts(limit=MOST_LISTED)]

    async def yearly_reports(self) -> list[dict[str, Any]]:
        """Give all that was said of yearly reports."""
        return [_plain_yearly(it) for it in (await self.archive.yearly_reports()).reports]

    async def alert(self, caller: Caller, alert_id: UUID) -> dict[str, Any]:
        """Give one alert, and why it was opened.

        Raises
        ------
        NotFoundError
            Where there is none, or the caller may not know of it.
        """
        _check_reader(caller)
        return plain(await self.found(alert_id), self.sources.now(), why=True)

    async def take(
        self, caller: Caller, kind: type[Said[Any]], *, key: str, alert_id: UUID | None, body: bytes
    ) -> Recorded:
        """Take what a person says at a door: of an alert a clearance, a confirmation or a report, of none a yearly report.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, KeyReusedError, UnavailableError
            As they say.
        """
        _check_reader(caller)
        by, said = allow_person(caller, kind.permission), read_said(body, kind, what=kind.name, most=kind.most_bytes)
        about = () if alert_id is None else (str(alert_id),)
        request = request_saying(caller, route=kind.route, key=key, said=[*about, *said.bound])
        return await once(
            self.answers,
            self.recorder,
            request,
            lambda recorder: self.record(alert_id, said, by=by, recorder=recorder),
        )

    async def record(
        self, alert_id: UUID | None, said: Said[Any], *, by: str, recorder: Recorder | None = None
    ) -> Recorded:
        """Record what a person says of an alert, or of none.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, UnavailableError
            As they say.
        """
        said.check()
        if not by.strip():
            raise ForbiddenError(f"a {said.name} is a person's act; wanted a name", hint="set OBLIGOR_AUTHOR")
        stored = await (self.archive.yearly_reports() if alert_id is None else self.found(alert_id))
        step = said.step(stored, at=self.sources.now(), by=by)
        submission = Submission((step.act(salt=self.sources.salt()),), partial(with_receipt, step.answer()))
        try:
            return await (recorder or self.recorder).record(submission)
        except IntegrityError:
            raise ClashError(
                f"somebody else was quicker with this {'report' if alert_id is None else 'alert'}"
            ) from None

    async def found(self, alert_id: UUID) -> StoredAlert:
        """Find an alert."""
        stored = await self.archive.alert(alert_id)
        if stored is None:
            raise _nothing()
        return stored


def plain(stored: StoredAlert, at: datetime, *, why: bool = False) -> dict[str, Any]:
    """Tell of an alert, to who may read it."""
    due, reports = stored.report_due_on, [_plain_report(it, stored) for it in stored.reports]
    last, yearly = reports[-1] if reports else {}, stored.yearly_report_due_on(at)
    told: dict[str, Any] = {
        "alert_id": str(stored.alert_id),
        "decision_id": str(stored.decision_id),
        "client_id": stored.client_id,
        "entry": stored.entry,
        "score": stored.score / 10_000,
        "list_sha256": stored.list_sha256,
        "list_kind": stored.list_kind,
        "opened_at": time_text(stored.opened_at),
        "state": stored.state(at),
        "needs_second": stored.needs_second,
        "proposed_by": stored.proposed_by,
        "cleared_by": stored.cleared_by,
        "confirmed_by": stored.confirmed_by,
        "confirmed_at": None if stored.confirmed_at is None else time_text(stored.confirmed_at),
        "doubted_by": stored.doubted_by,
        "examined_by": stored.examined_by,
        "finding": stored.finding,
        "report_due_on": None if due is None else due.isoformat(),
        "reported_on": last.get("reported_on"),
        "reported_late": last.get("late"),
        "reported_by": last.get("by"),
        "report_reference": last.get("reference"),
        "reports": reports,
        "yearly_report_due_on": None if yearly is None else yearly.isoformat(),
        "because": stored.because,
        "until": None if stored.until is None else time_text(stored.until),
    }
    if why:
        said = msgspec.json.decode(stored.record)
        told |= {name: said[name] for name in ("why", "algorithm", "rules_sha256")}
    return told


def _plain_report(report: AlertReportRow, of: StoredAlert) -> dict[str, Any]:
    return {
        "number": report.number,
        "reference": report.reference,
        "reported_on": report.reported_on.isoformat(),
        "late": of.is_late(report.reported_on),
        "because": report.because,
        "at": time_text(report.at),
        "by": report.by,
    }


def _plain_yearly(report: YearlyReportRow) -> dict[str, Any]:
    return asdict(report) | {
        "reported_on": report.reported_on.isoformat(),
        "alerts": [*report.alerts],
        "at": time_text(report.at),
        "late": is_yearly_late(report.year, report.reported_on),
    }


def _check_reader(caller: Caller) -> None:
    if not may(caller, "alert.read"):
        raise _nothing()


def _nothing() -> NotFoundError:
    return NotFoundError("there is none")
