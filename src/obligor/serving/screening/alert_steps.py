"""What people say of an alert, and which step that is: it is cleared, it is confirmed, or its match was reported.

From a certain score on, two people clear an alert. What was cleared is a hit no more for this person and this entry, for as
long as the clearance says, and as the list says the same of the entry.

One person confirms a match, and may do so without a second factor, as one clears: it stops somebody, and lets nobody pass.
A confirmation stands whatever the list says later. That it was a mistake (31 CFR 501.806) one person says, and another
corrects it; the confirmation stays in the log beside its correction.

That a confirmed match was reported (31 CFR 501.603, 31 CFR 501.604) is said with the day and a reference by which the
report is found. The report itself is filed elsewhere. Where either was wrong it is said again, with a reason: the last one
counts, and those before it stay.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from obligor.core.errors import ClashError, ForbiddenError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.governance.law.reporting import is_late, last_day_at, report_due_on, yearly_report_due_on
from obligor.serving.acts import Act
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.rows import AlertReportRow, AlertStepRow, YearlyReportRow
from obligor.serving.said import MOST_BECAUSE, field_error, says_why

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from obligor.core.errors import ApplicationError

SCHEMA: Final = "obligor/alert-step/1"
REPORT_SCHEMA: Final = "obligor/alert-report/1"
SECOND_FROM: Final = 9500
"""The score, in ten-thousandths, from which two people clear an alert."""
MOST_DAYS: Final = 730
MOST_REFERENCE: Final = 64
REFERENCE: Final = "[A-Za-z0-9 ._/#:-]*[0-9][A-Za-z0-9 ._/#:-]*"
"""A number of something, and no sentence: without a digit it could be a name."""


class StoredReport(NamedTuple):
    """That a match was reported, as it is kept."""

    number: int
    """From 2 on, it amends the one before."""
    reference: str
    reported_on: date
    because: str | None
    """Why it amends the one before."""
    at: datetime
    by: str


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
    reports: tuple[StoredReport, ...] = ()
    """Every one, the last of which counts."""
    years_filed: tuple[int, ...] = ()
    """The years of which the yearly report was filed, whatever it named."""

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

    def yearly_report_due_on(self, at: datetime) -> date | None:
        """Give the last day for the next yearly report that names what is blocked of a match that is confirmed."""
        if self.confirmed_at is None or self.cleared_by is not None:
            return None
        return yearly_report_due_on(self.confirmed_at, at, filed=self.years_filed)

    def is_late(self, reported_on: date) -> bool:
        """Tell whether a report comes after the last day for it, holidays taken out."""
        return self.confirmed_at is not None and self.cleared_by is None and is_late(self.confirmed_at, reported_on)


class Step(NamedTuple):
    """What a person does to an alert, or says of the report of a year, as it is to be recorded."""

    kind: str
    row: AlertStepRow | AlertReportRow | YearlyReportRow
    said: dict[str, Any]
    """What its record says beside of what it is, when and by whom."""
    told: dict[str, Any]
    """What is answered beside of what it is, and when."""

    def act(self, *, salt: bytes) -> Act:
        """Give its act."""
        row, about = self.row, self._about()
        (subject,) = map(str, about.values())
        record = {**about, "at": time_text(row.at), "by": row.by, **self.said}
        return Act(self.kind, row.at, f"person:{row.by}", subject, encode(record), salt, (row,))

    def answer(self) -> bytes:
        """Give its answer, but for the receipt."""
        return encode_in_order({**self._about(), **self.told, "at": time_text(self.row.at)})

    def _about(self) -> dict[str, Any]:
        row = self.row
        return {"year": row.year} if isinstance(row, YearlyReportRow) else {"alert_id": str(row.alert_id)}


Of = TypeVar("Of")
Filed = TypeVar("Filed")


class Said(msgspec.Struct, Generic[Of], frozen=True, forbid_unknown_fields=True):
    """What a person says of an alert, or of the report of a year."""

    name: ClassVar[str]
    permission: ClassVar[str]
    route: ClassVar[str]
    most_bytes: ClassVar[int] = 1 << 12

    @property
    def bound(self) -> tuple[object, ...]:
        """What an idempotency key is bound to."""
        return msgspec.structs.astuple(self)

    def check(self) -> None:
        """Refuse what could never be recorded.

        Raises
        ------
        ApplicationError
            Naming the field; what it says is not repeated.
        """
        raise NotImplementedError

    def step(self, stored: Of, *, at: datetime, by: str) -> Step:
        """Give the step that it is of an alert as it stands, or of what was said of yearly reports.

        Raises
        ------
        ForbiddenError, ClashError, ApplicationError
            Where it is none.
        """
        raise NotImplementedError

    def refused(self, field: str, wanted: str) -> ApplicationError:
        """Tell what is wrong with a field."""
        return field_error(self.name, field, wanted)

    def check_because(self, because: str) -> None:
        """Refuse what is no reason."""
        refuse_card_data_in("because", because)
        if not says_why(because):
            raise self.refused("because", f"wanted 1 to {MOST_BECAUSE} printable characters")


class Clearance(Said[StoredAlert], frozen=True, forbid_unknown_fields=True):
    """Why an alert is of somebody else, and for how long that holds."""

    because: str
    days: int = 365

    name = "clearance"
    permission = "alert.clear"
    route = "alerts/clearances"

    def check(self) -> None:
        """Refuse a clearance without a reason, or for too long."""
        self.check_because(self.because)
        if not 1 <= self.days <= MOST_DAYS:
            raise self.refused("days", f"wanted 1 to {MOST_DAYS}")

    def step(self, stored: StoredAlert, *, at: datetime, by: str) -> Step:
        """Clear an alert, where another person has proposed it from a certain score on; otherwise propose to.

        So too of one that was confirmed, whatever its score: one person doubts that, and another corrects it.
        """
        if stored.cleared_by is not None:
            raise ClashError("this alert was cleared before")
        first = stored.proposed_by if stored.confirmed_by is None else stored.doubted_by
        if first is not None and are_one_person(first, by):
            what = "so strong an alert" if stored.confirmed_by is None else "an alert that was confirmed"
            raise ForbiddenError(f"{what} is cleared by another person than who proposed it")
        until = at + timedelta(days=self.days)
        row = AlertStepRow(stored.alert_id, _clearing(stored), self.because, until, at, by)
        return _stepped(row, {"until": time_text(until)})


class Confirmation(Said[StoredAlert], frozen=True, forbid_unknown_fields=True):
    """Why an alert is of who applied."""

    because: str

    name = "confirmation"
    permission = "alert.confirm"
    route = "alerts/confirmation"

    def check(self) -> None:
        """Refuse a confirmation without a reason."""
        self.check_because(self.because)

    def step(self, stored: StoredAlert, *, at: datetime, by: str) -> Step:
        """Confirm an alert that nobody has cleared; once is enough."""
        if stored.cleared_by is not None or stored.confirmed_by is not None:
            how = "cleared" if stored.confirmed_by is None else "confirmed"
            raise ClashError(f"this alert was {how} before")
        row, due = AlertStepRow(stored.alert_id, "confirmed", self.because, None, at, by), report_due_on(at)
        return _stepped(row, {"report_due_on": None if due is None else due.isoformat()})


class Filing(Said[Of], Generic[Of], frozen=True, forbid_unknown_fields=True):
    """That something was reported, and how the report is found."""

    reference: str
    reported_on: date | None = None
    """The day said before, and of the first report today where a day ends last, where none is given."""
    because: str | None = None
    """Why it amends what was said before."""

    permission = "alert.confirm"

    @property
    def bound(self) -> tuple[object, ...]:
        """What an idempotency key is bound to: of a first report, the same as before there were others."""
        day = None if self.reported_on is None else self.reported_on.isoformat()
        return (self.reference, day) if self.because is None else (self.reference, day, self.because)

    def check(self) -> None:
        """Refuse a reference that could name somebody, and an amendment without a reason."""
        refuse_card_data_in("reference", self.reference)
        if len(self.reference) > MOST_REFERENCE or not re.fullmatch(REFERENCE, self.reference):
            wanted = f"up to {MOST_REFERENCE} letters, digits, blanks and ./#:_-, with a digit among them; name nobody"
            raise self.refused("reference", f"wanted {wanted}")
        if self.because is not None:
            self.check_because(self.because)

    def amended(self, reports: Sequence[Filed], of: str) -> Filed | None:
        """Give the report that it amends, which says why; the first amends none."""
        if reports and self.because is None:
            raise ClashError(f"{of} was reported before; who amends that says why", hint="because, or --because")
        if not reports and self.because is not None:
            raise ClashError(f"{of} was not reported before; there is nothing to amend")
        return reports[-1] if reports else None


class Report(Filing[StoredAlert], frozen=True, forbid_unknown_fields=True):
    """That a confirmed match was reported."""

    name = "report"
    route = "alerts/report"

    def step(self, stored: StoredAlert, *, at: datetime, by: str) -> Step:
        """Say that a match was reported, or amend what was said; one that was corrected since it was confirmed was, too."""
        if stored.confirmed_by is None:
            raise ClashError("this alert was not confirmed", hint="obligor alerts confirm ALERT")
        last = self.amended(stored.reports, "this match")
        day = self.reported_on or (last_day_at(at) if last is None else last.reported_on)
        if not last_day_at(stored.opened_at) <= day <= at.date():
            raise self.refused("reported_on", "wanted a day from that of the alert to today (UTC)")
        if last is not None and (last.reference, last.reported_on) == (self.reference, day):
            raise ClashError("this is what the last report of this match says")
        number = 1 if last is None else last.number + 1
        row = AlertReportRow(stored.alert_id, number, self.reference, day, self.because, at, by)
        told = {"number": number, "reference": self.reference, "reported_on": day.isoformat()}
        said = {"schema": REPORT_SCHEMA, **told, "because": self.because}
        return Step("alert.reported", row, said, told | {"late": stored.is_late(day)})


def _clearing(stored: StoredAlert) -> Literal["proposed", "cleared", "doubted", "corrected"]:
    """Give the step that clearing an alert is."""
    if stored.confirmed_by is not None:
        return "doubted" if stored.doubted_by is None else "corrected"
    return "proposed" if stored.proposed_by is None and stored.score >= SECOND_FROM else "cleared"


def _stepped(row: AlertStepRow, told: dict[str, Any]) -> Step:
    until = None if row.until is None else time_text(row.until)
    said = {"schema": SCHEMA, "step": row.step, "because": row.because, "until": until}
    return Step(f"alert.{row.step}", row, said, told | {"state": row.step})
