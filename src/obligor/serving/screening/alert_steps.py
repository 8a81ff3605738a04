"""What people say of an alert, and which step that is: it is cleared, or it is confirmed.

From a certain score on, two people clear an alert that is of somebody else. One of a politically exposed person is also cleared
where it is they, and never confirmed: one person examined them, which is a step of its own, and another approves, whatever the
score. What was cleared is a hit no more for this person and this entry, for as long as the clearance says, and as the list says
the same of the entry.

One person confirms a match, and may do so without a second factor, as one clears: it stops somebody, and lets nobody pass.
A confirmation stands whatever the list says later. That it was a mistake (31 CFR 501.806) one person says, and another
corrects it; the confirmation stays in the log beside its correction.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from obligor.core.errors import ClashError, ForbiddenError
from obligor.core.leaves import time_text
from obligor.core.people import are_one_person
from obligor.governance.law.reporting import is_late, report_due_on, yearly_report_due_on
from obligor.serving.acts import Act
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.encoding import encode, encode_in_order
from obligor.serving.rows import AlertReportRow, AlertStepRow, Finding, YearlyReportRow
from obligor.serving.said import MOST_BECAUSE, field_error, says_why

if TYPE_CHECKING:
    from uuid import UUID

    from obligor.core.errors import ApplicationError
    from obligor.screening.lists import ListKind

SCHEMA: Final = "obligor/alert-step/1"
SECOND_FROM: Final = 9500
"""The score, in ten-thousandths, from which two people clear an alert."""
MOST_DAYS: Final = 730
Clearing = Literal["proposed", "cleared", "doubted", "corrected", "examined"]
"""The steps that clear an alert, or lead there."""


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
    reports: tuple[AlertReportRow, ...] = ()
    """Every one, the last of which counts."""
    years_filed: tuple[int, ...] = ()
    """The years of which the yearly report was filed, whatever it named."""
    list_kind: ListKind = "sanctions"
    examined_by: str | None = None
    """Who said that it is the exposed person, and looked more closely."""
    finding: Finding | None = None
    """Why a politically exposed person was cleared, or is to be."""

    def state(self, at: datetime) -> str:
        """Tell how it stands: open, proposed or examined (waits for a second person), cleared, or expired (cleared, and over).

        Or confirmed, doubted (waits for a second person), or corrected, which expires as well.
        """
        if self.cleared_by is not None and self.until is not None:
            held = "cleared" if self.confirmed_by is None else "corrected"
            return held if at < self.until else "expired"
        if self.confirmed_by is not None:
            return "confirmed" if self.doubted_by is None else "doubted"
        if self.examined_by is not None:
            return "examined"
        return "open" if self.proposed_by is None else "proposed"

    @property
    def needs_second(self) -> bool:
        """Whether two people clear it as somebody else's: it is too alike, or one person said that it is not."""
        return self.score >= SECOND_FROM or self.confirmed_by is not None or self.examined_by is not None

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
    """Why an alert is of somebody else, or what a closer look at a politically exposed person found, and how long it holds."""

    because: str
    days: int = 365
    finding: Finding | None = None
    """Of a politically exposed person alone, and always."""

    name = "clearance"
    permission = "alert.clear"
    route = "alerts/clearances"

    @property
    def bound(self) -> tuple[object, ...]:
        """What an idempotency key is bound to: without a finding, the same as before there were any."""
        return (self.because, self.days) if self.finding is None else (self.because, self.days, self.finding)

    def check(self) -> None:
        """Refuse a clearance without a reason, or for too long."""
        self.check_because(self.because)
        if not 1 <= self.days <= MOST_DAYS:
            raise self.refused("days", f"wanted 1 to {MOST_DAYS}")

    def step(self, stored: StoredAlert, *, at: datetime, by: str) -> Step:
        """Clear an alert, where another person has proposed it from a certain score on; otherwise propose to.

        So too of one that was confirmed, whatever its score: one person doubts that, and another corrects it; and of an exposed
        person after due diligence: one person examined them, and another approves.
        """
        if stored.cleared_by is not None:
            raise ClashError("this alert was cleared before")
        if stored.list_kind == "pep" and self.finding is None:
            raise self.refused("finding", "wanted somebody_else or due_diligence, of a politically exposed person")
        if stored.list_kind != "pep" and self.finding is not None:
            raise self.refused(
                "finding", "wanted none: an alert of sanctions is cleared only where it is somebody else's"
            )
        first, steps = self._way(stored)
        if first is not None and are_one_person(first, by):
            what = "such an alert" if stored.confirmed_by is None else "an alert that was confirmed"
            raise ForbiddenError(f"{what} is cleared by another person than who proposed it")
        until = at + timedelta(days=self.days)
        step = steps[-1] if first is not None else steps[0]
        row = AlertStepRow(stored.alert_id, step, self.because, until, at, by, self.finding)
        return _stepped(row, {"until": time_text(until), "finding": self.finding})

    def _way(self, stored: StoredAlert) -> tuple[str | None, tuple[Clearing, ...]]:
        """Give who took the first step, if anybody has, and the steps that it takes."""
        if stored.confirmed_by is not None:
            return stored.doubted_by, ("doubted", "corrected")
        if self.finding == "due_diligence":
            return stored.examined_by, ("examined", "cleared")
        return (stored.proposed_by, ("proposed", "cleared")) if stored.needs_second else (None, ("cleared",))


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
        if stored.list_kind == "pep":
            raise ClashError(
                "a politically exposed person may be approved: there is nothing to confirm or to report",
                hint="clear the alert after due diligence, with what a closer look found",
            )
        if stored.cleared_by is not None or stored.confirmed_by is not None:
            how = "cleared" if stored.confirmed_by is None else "confirmed"
            raise ClashError(f"this alert was {how} before")
        row, due = AlertStepRow(stored.alert_id, "confirmed", self.because, None, at, by), report_due_on(at)
        return _stepped(row, {"report_due_on": None if due is None else due.isoformat()})


def _stepped(row: AlertStepRow, told: dict[str, Any]) -> Step:
    until = None if row.until is None else time_text(row.until)
    said = {"schema": SCHEMA, "step": row.step, "because": row.because, "until": until}
    if row.finding is not None:
        said["finding"] = row.finding
    return Step(f"alert.{row.step}", row, said, told | {"state": row.step})
