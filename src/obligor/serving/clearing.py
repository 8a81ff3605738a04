"""What people do with alerts: look at them, clear those that are of somebody else, and confirm those that are not.

Who may not read alerts is told that there is none, as for one that never was. From a certain score on, two people clear one.
What was cleared is a hit no more for this person and this entry, for as long as the clearance says, and as the list says the
same of the entry.

One person confirms a match, and may do so without a second factor, as one clears: it stops somebody, and lets nobody pass.
A confirmation stands whatever the list says later. That it was a mistake (31 CFR 501.806) one person says, and another
corrects it; the confirmation stays in the log beside its correction.

That a confirmed match was reported (31 CFR 501.603, 31 CFR 501.604) is said once, with the day and a reference by which the
report is found. The report itself is filed elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Protocol, TypeVar
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.errors import ClashError, ForbiddenError, IntegrityError, NotFoundError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.governance.law.reporting import last_day_at, report_due_on
from obligor.security.permissions import allow, may
from obligor.serving.acts import Act, AlertReportRow, AlertStepRow, Submission
from obligor.serving.answers import with_receipt
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.idempotency import check_key, request_saying
from obligor.serving.once import once
from obligor.serving.said import field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from obligor.serving.acts import Caller, Recorded, Recorder
    from obligor.serving.once import Answers
    from obligor.serving.sources import Sources

SCHEMA: Final = "obligor/alert-step/1"
REPORT_SCHEMA: Final = "obligor/alert-report/1"
ROUTE: Final = "alerts/clearances"
CONFIRMATION_ROUTE: Final = "alerts/confirmation"
REPORT_ROUTE: Final = "alerts/report"
SECOND_FROM: Final = 9500
"""The score, in ten-thousandths, from which two people clear an alert."""
MOST_DAYS: Final = 730
MOST_BYTES: Final = 4096
MOST_LISTED: Final = 200
_MOST_BECAUSE: Final = 500
MOST_REFERENCE: Final = 64
REFERENCE: Final = "[A-Za-z0-9 ._/#:-]*[0-9][A-Za-z0-9 ._/#:-]*"
"""A number of something, and no sentence: without a digit it could be a name."""


class StoredAlert(NamedTuple):
    """An alert as it is kept, with what came of it."""

    alert_id: UUID
    decision_id: UUID
    client_id: str
    entry: str
    score: int
    list_sha256: str
    opened_at: datetime
    record: bytes
    proposed_by: str | None
    cleared_by: str | None
    """Who cleared it, or corrected its confirmation."""
    confirmed_by: str | None
    confirmed_at: datetime | None
    doubted_by: str | None
    because: str | None
    until: datetime | None
    reported_by: str | None = None
    reported_on: date | None = None
    report_reference: str | None = None

    def state(self, at: datetime) -> str:
        """Tell how it stands: open, proposed (waits for a second person), cleared, or expired (cleared, and over).

        Or confirmed, doubted (waits for a second person), or corrected, which expires as well.
        """
        if self.cleared_by is not None and self.until is not None:
            held = "cleared" if self.confirmed_by is None else "corrected"
            return held if at < self.until else "expired"
        if self.confirmed_by is not None:
            return "confirmed" if self.doubted_by is None else "doubted"
        return "open" if self.proposed_by is None else "proposed"

    @property
    def report_due_on(self) -> date | None:
        """The last day for the report of a match that is confirmed."""
        if self.confirmed_at is None or self.cleared_by is not None:
            return None
        return report_due_on(self.confirmed_at)


class Alerts(Protocol):
    """Where alerts are found."""

    async def alert(self, alert_id: UUID) -> StoredAlert | None:
        """Find an alert."""
        ...

    async def alerts(self, *, limit: int) -> Sequence[StoredAlert]:
        """Give the alerts that nobody has cleared: those that wait, then those confirmed, each the most alike first."""
        ...


class Clearance(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an alert is of somebody else, and for how long that holds."""

    because: str
    days: int = 365


class Confirmation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why an alert is of who applied."""

    because: str


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That a confirmed match was reported, and how the report is found."""

    reference: str
    reported_on: date | None = None
    """Today (UTC), where none is given."""


Said = TypeVar("Said", Clearance, Confirmation, Report)


@dataclass(frozen=True, slots=True)
class AlertDesk:
    """The queue of alerts."""

    archive: Alerts
    answers: Answers
    recorder: Recorder
    sources: Sources

    async def alerts(self, caller: Caller) -> list[dict[str, Any]]:
        """Give the alerts that wait for somebody, and those that were confirmed.

        Raises
        ------
        NotFoundError
            Where the caller may not know of any.
        """
        _check_reader(caller)
        return await self.waiting()

    async def waiting(self) -> list[dict[str, Any]]:
        """Give the alerts that nobody has cleared."""
        at = self.sources.now()
        return [plain(it, at) for it in await self.archive.alerts(limit=MOST_LISTED)]

    async def alert(self, caller: Caller, alert_id: UUID) -> dict[str, Any]:
        """Give one alert, and why it was opened.

        Raises
        ------
        NotFoundError
            Where there is none, or the caller may not know of it.
        """
        _check_reader(caller)
        return plain(await self.found(alert_id), self.sources.now(), why=True)

    async def clear(self, caller: Caller, *, key: str, alert_id: UUID, body: bytes) -> Recorded:
        """Clear an alert, or propose to, as a person at a door.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, KeyReusedError, UnavailableError
            As they say.
        """
        _check_reader(caller)
        allow(caller, "alert.clear")
        check_key(key)
        clearance = _read(body, Clearance)
        said = [str(alert_id), clearance.because, clearance.days]
        return await once(
            *(self.answers, self.recorder, request_saying(caller, route=ROUTE, key=key, said=said)),
            lambda recorder: self.step(alert_id, clearance, by=caller.subject, recorder=recorder),
            told=_told,
        )

    async def step(
        self, alert_id: UUID, clearance: Clearance, *, by: str, recorder: Recorder | None = None
    ) -> Recorded:
        """Record that a person clears an alert; from a certain score on, another person must have proposed it.

        So too of one that was confirmed, whatever its score: one person doubts that, and another corrects it.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, UnavailableError
            As they say.
        """
        check_said(clearance)
        _check_person(by, "clear")
        stored, at = await self.found(alert_id), self.sources.now()
        _check_step(stored, by)
        until = at + timedelta(days=clearance.days)
        return await self._record(AlertStepRow(alert_id, _step(stored), clearance.because, until, at, by), recorder)

    async def confirm(self, caller: Caller, *, key: str, alert_id: UUID, body: bytes) -> Recorded:
        """Confirm an alert, as a person at a door.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, KeyReusedError, UnavailableError
            As they say.
        """
        _check_reader(caller)
        allow(caller, "alert.confirm")
        check_key(key)
        confirmation = _read(body, Confirmation)
        said = [str(alert_id), confirmation.because]
        return await once(
            *(self.answers, self.recorder, request_saying(caller, route=CONFIRMATION_ROUTE, key=key, said=said)),
            lambda recorder: self.confirmed(alert_id, confirmation, by=caller.subject, recorder=recorder),
            told=_told,
        )

    async def confirmed(
        self, alert_id: UUID, confirmation: Confirmation, *, by: str, recorder: Recorder | None = None
    ) -> Recorded:
        """Record that a person confirms an alert that nobody has cleared; once is enough.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, UnavailableError
            As they say.
        """
        check_said(confirmation)
        _check_person(by, "confirm")
        stored, at = await self.found(alert_id), self.sources.now()
        _check_open(stored)
        return await self._record(AlertStepRow(alert_id, "confirmed", confirmation.because, None, at, by), recorder)

    async def report(self, caller: Caller, *, key: str, alert_id: UUID, body: bytes) -> Recorded:
        """Say that a confirmed match was reported, as a person at a door.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, KeyReusedError, UnavailableError
            As they say.
        """
        _check_reader(caller)
        allow(caller, "alert.confirm")
        check_key(key)
        report = _read(body, Report)
        day = None if report.reported_on is None else report.reported_on.isoformat()
        return await once(
            *(self.answers, self.recorder),
            request_saying(caller, route=REPORT_ROUTE, key=key, said=[str(alert_id), report.reference, day]),
            lambda recorder: self.reported(alert_id, report, by=caller.subject, recorder=recorder),
            told=_told,
        )

    async def reported(self, alert_id: UUID, report: Report, *, by: str, recorder: Recorder | None = None) -> Recorded:
        """Record that a confirmed match was reported; once is enough, and one that was corrected since was reported, too.

        Raises
        ------
        NotFoundError, ForbiddenError, ClashError, ApplicationError, UnavailableError
            As they say.
        """
        check_said(report)
        _check_person(by, "report")
        stored, at = await self.found(alert_id), self.sources.now()
        _check_reportable(stored)
        day = report.reported_on or at.date()
        if not last_day_at(stored.opened_at) <= day <= at.date():
            raise field_error("report", "reported_on", "wanted a day from that of the alert to today (UTC)")
        return await self._record(AlertReportRow(alert_id, report.reference, day, at, by), recorder)

    async def _record(self, row: AlertStepRow | AlertReportRow, recorder: Recorder | None) -> Recorded:
        respond = partial(with_receipt, encode_in_order(_told_of(row)))
        try:
            return await (recorder or self.recorder).record(Submission((self._act(row),), respond))
        except IntegrityError:
            raise ClashError("somebody else was quicker with this alert") from None

    def _act(self, row: AlertStepRow | AlertReportRow) -> Act:
        said: dict[str, Any] = {"alert_id": str(row.alert_id), "at": time_text(row.at), "by": row.by}
        if isinstance(row, AlertReportRow):
            kind = "alert.reported"
            said |= {"schema": REPORT_SCHEMA, "reference": row.reference, "reported_on": row.reported_on.isoformat()}
        else:
            kind, until = f"alert.{row.step}", None if row.until is None else time_text(row.until)
            said |= {"schema": SCHEMA, "step": row.step, "because": row.because, "until": until}
        return Act(kind, row.at, f"person:{row.by}", str(row.alert_id), encode(said), self.sources.salt(), (row,))

    async def found(self, alert_id: UUID) -> StoredAlert:
        """Find an alert."""
        stored = await self.archive.alert(alert_id)
        if stored is None:
            raise _nothing()
        return stored


def plain(stored: StoredAlert, at: datetime, *, why: bool = False) -> dict[str, Any]:
    """Tell of an alert, to who may read it."""
    due = stored.report_due_on
    told: dict[str, Any] = {
        "alert_id": str(stored.alert_id),
        "decision_id": str(stored.decision_id),
        "client_id": stored.client_id,
        "entry": stored.entry,
        "score": stored.score / 10_000,
        "list_sha256": stored.list_sha256,
        "opened_at": time_text(stored.opened_at),
        "state": stored.state(at),
        "needs_second": stored.score >= SECOND_FROM or stored.confirmed_by is not None,
        "proposed_by": stored.proposed_by,
        "cleared_by": stored.cleared_by,
        "confirmed_by": stored.confirmed_by,
        "confirmed_at": None if stored.confirmed_at is None else time_text(stored.confirmed_at),
        "doubted_by": stored.doubted_by,
        "report_due_on": None if due is None else due.isoformat(),
        "reported_on": None if stored.reported_on is None else stored.reported_on.isoformat(),
        "reported_by": stored.reported_by,
        "report_reference": stored.report_reference,
        "because": stored.because,
        "until": None if stored.until is None else time_text(stored.until),
    }
    if why:
        said = msgspec.json.decode(stored.record)
        told |= {name: said[name] for name in ("why", "algorithm", "rules_sha256")}
    return told


def _told(submission: Submission) -> dict[str, Any]:
    (row,) = submission.acts[0].rows
    return _told_of(row)  # type: ignore[arg-type]  # of the one act of a step


def _told_of(row: AlertStepRow | AlertReportRow) -> dict[str, Any]:
    if isinstance(row, AlertReportRow):
        report = {"reference": row.reference, "reported_on": row.reported_on.isoformat()}
        return {"alert_id": str(row.alert_id), **report, "at": time_text(row.at)}
    if row.until is None:
        due = report_due_on(row.at)
        told = {"report_due_on": None if due is None else due.isoformat()}
    else:
        told = {"until": time_text(row.until)}
    return {"alert_id": str(row.alert_id), **told, "at": time_text(row.at), "state": row.step}


def _read(body: bytes, kind: type[Said]) -> Said:
    """Read why an alert is cleared or confirmed, or how its report is found, strictly.

    Raises
    ------
    ApplicationError
        Naming the field; what it says is not repeated.
    """
    said = read_said(body, kind, what=kind.__name__.lower(), most=MOST_BYTES)
    check_said(said)
    return said


def check_said(said: Clearance | Confirmation | Report) -> None:
    """Refuse a clearance or a confirmation without a reason, a clearance for too long, or a reference that could name somebody.

    Raises
    ------
    ApplicationError
        Naming the field.
    """
    if isinstance(said, Report):
        _check_reference(said.reference)
        return
    what, because = type(said).__name__.lower(), said.because
    if not because.strip() or len(because) > _MOST_BECAUSE or not because.isprintable():
        raise field_error(what, "because", f"wanted 1 to {_MOST_BECAUSE} printable characters")
    if isinstance(said, Clearance) and not 1 <= said.days <= MOST_DAYS:
        raise field_error(what, "days", f"wanted 1 to {MOST_DAYS}")


def _check_reference(reference: str) -> None:
    refuse_card_data_in("reference", reference)
    if len(reference) > MOST_REFERENCE or not re.fullmatch(REFERENCE, reference):
        wanted = (
            f"wanted up to {MOST_REFERENCE} letters, digits, blanks and ./#:_-, with a digit among them; name nobody"
        )
        raise field_error("report", "reference", wanted)


def _step(stored: StoredAlert) -> Literal["proposed", "cleared", "doubted", "corrected"]:
    """Give the step that clearing an alert is."""
    if stored.confirmed_by is not None:
        return "doubted" if stored.doubted_by is None else "corrected"
    return "proposed" if stored.proposed_by is None and stored.score >= SECOND_FROM else "cleared"


def _check_step(stored: StoredAlert, by: str) -> None:
    if stored.cleared_by is not None:
        raise ClashError("this alert was cleared before")
    first = stored.proposed_by if stored.confirmed_by is None else stored.doubted_by
    if first is not None and are_one_person(first, by):
        what = "so strong an alert" if stored.confirmed_by is None else "an alert that was confirmed"
        raise ForbiddenError(f"{what} is cleared by another person than who proposed it")


def _check_open(stored: StoredAlert) -> None:
    if stored.cleared_by is not None or stored.confirmed_by is not None:
        how = "cleared" if stored.confirmed_by is None else "confirmed"
        raise ClashError(f"this alert was {how} before")


def _check_reportable(stored: StoredAlert) -> None:
    if stored.confirmed_by is None:
        raise ClashError("this alert was not confirmed", hint="obligor alerts confirm ALERT")
    if stored.reported_by is not None:
        raise ClashError("this match was reported before")


def _check_person(by: str, what: str) -> None:
    if not by.strip():
        raise ForbiddenError(f"to {what} an alert is a person's act; wanted a name", hint="set OBLIGOR_AUTHOR")


def _check_reader(caller: Caller) -> None:
    if not may(caller, "alert.read"):
        raise _nothing()


def _nothing() -> NotFoundError:
    return NotFoundError("there is none")
