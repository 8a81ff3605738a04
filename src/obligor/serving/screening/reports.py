"""What people say of reports to OFAC: that a confirmed match was reported, and what was blocked on 30 June of a year.

Said is the day, and a reference by which the report is found; the report itself is filed elsewhere. One match is reported by
itself (31 CFR 501.603, 31 CFR 501.604); the report of a year (31 CFR 501.603(b)(2)) is said with the matches whose property it
named, which nobody knows but who filed it. Where something was wrong it is said again, with a reason: the last one counts, and
those before it stay.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import MAXYEAR, date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, NamedTuple, TypeVar
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

from obligor.core.errors import ClashError
from obligor.governance.law.reporting import held_on, is_yearly_late, last_day_at
from obligor.serving.card_data import refuse_card_data_in
from obligor.serving.rows import AlertReportRow, YearlyReportRow
from obligor.serving.screening.alert_steps import Of, Said, Step, StoredAlert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MOST_REFERENCE: Final = 64
REFERENCE: Final = "[A-Za-z0-9 ._/#:-]*[0-9][A-Za-z0-9 ._/#:-]*"
"""A number of something, and no sentence: without a digit it could be a name."""
Row = TypeVar("Row", AlertReportRow, YearlyReportRow)


class YearlyReports(NamedTuple):
    """What was said of yearly reports, and what they may name."""

    reports: tuple[YearlyReportRow, ...]
    """Of every year; those of one year in turn."""
    matches: Mapping[UUID, datetime]
    """The alerts that were confirmed, and corrected since or not, by when they were opened."""


class Filing(Said[Of], Generic[Of], frozen=True, forbid_unknown_fields=True):
    """That something was reported, and how the report is found."""

    reference: str
    reported_on: date | None = None
    """The day said before, and of the first report today where a day ends last, where none is given."""
    because: str | None = None
    """Why it amends what was said before."""

    permission = "alert.confirm"
    kind: ClassVar[str]
    schema: ClassVar[str]
    of_one: ClassVar[str]
    from_day: ClassVar[str]

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

    def amended(self, reports: Sequence[Row], of: str) -> Row | None:
        """Give the report that it amends, which says why; the first amends none."""
        if reports and self.because is None:
            raise ClashError(f"{of} was reported before; who amends that says why", hint="because, or --because")
        if not reports and self.because is not None:
            raise ClashError(f"{of} was not reported before; there is nothing to amend")
        return reports[-1] if reports else None

    def filed(self, last: Row | None, *, since: date, at: datetime, by: str) -> dict[str, Any]:
        """Give what the row of every report says: of which day, on or after another, and by which number and reference."""
        day = self.reported_on or (last_day_at(at) if last is None else last.reported_on)
        if not since <= day <= at.date():
            raise self.refused("reported_on", f"wanted a day from {self.from_day} to today (UTC)")
        number = 1 if last is None else last.number + 1
        told = {"number": number, "reference": self.reference, "reported_on": day}
        return {**told, "because": self.because, "at": at, "by": by}

    def reported(self, row: Row, last: Row | None, *, late: bool, **also: object) -> Step:
        """Give the step that a row records, which is not what the last report says."""
        if last and row == replace(last, number=row.number, because=row.because, at=row.at, by=row.by):
            raise ClashError(f"this is what the last report of this {self.of_one} says")
        told = {"number": row.number, "reference": row.reference, "reported_on": row.reported_on.isoformat(), **also}
        return Step(self.kind, row, {"schema": self.schema, **told, "because": row.because}, told | {"late": late})


class Report(Filing[StoredAlert], frozen=True, forbid_unknown_fields=True):
    """That a confirmed match was reported."""

    name = "report"
    route = "alerts/report"
    kind = "alert.reported"
    schema = "obligor/alert-report/1"
    of_one = "match"
    from_day = "that of the alert"

    def step(self, stored: StoredAlert, *, at: datetime, by: str) -> Step:
        """Say that a match was reported, or amend what was said; one that was corrected since it was confirmed was, too."""
        if stored.confirmed_by is None:
            raise ClashError("this alert was not confirmed", hint="obligor alerts confirm ALERT")
        last = self.amended(stored.reports, "this match")
        filed = self.filed(last, since=last_day_at(stored.opened_at), at=at, by=by)
        row = AlertReportRow(stored.alert_id, **filed)
        return self.reported(row, last, late=stored.is_late(row.reported_on))


class YearlyReport(Filing[YearlyReports], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the report of a year was filed, and which matches it named."""

    year: int
    alerts: tuple[UUID, ...] | None = None
    """Those said before where none are given."""

    name = "yearly report"
    route = "alerts/yearly-reports"
    most_bytes = 1 << 16
    kind = "alert.reported.yearly"
    schema = "obligor/yearly-report/1"
    of_one = "year"
    from_day = "30 June of the year"

    @property
    def bound(self) -> tuple[object, ...]:
        """What an idempotency key is bound to."""
        return self.year, None if self.alerts is None else [*map(str, self.alerts)], *super().bound

    def check(self) -> None:
        """Refuse, beside what is refused of every report, what is no year."""
        super().check()
        if not 1 <= self.year <= MAXYEAR:
            raise self.refused("year", "wanted a year, such as 2026")

    def step(self, stored: YearlyReports, *, at: datetime, by: str) -> Step:
        """Say that the report of a year was filed, or amend what was said."""
        of_year = [it for it in stored.reports if it.year == self.year]
        last = self.amended(of_year, f"what was blocked on 30 June {self.year}")
        filed = self.filed(last, since=held_on(self.year), at=at, by=by)
        alerts = last.alerts if last is not None and self.alerts is None else self._named(stored.matches)
        row = YearlyReportRow(self.year, alerts=alerts, **filed)
        return self.reported(row, last, late=is_yearly_late(self.year, row.reported_on), alerts=[*alerts])

    def _named(self, matches: Mapping[UUID, datetime]) -> tuple[str, ...]:
        """Give what it names: alerts that were there on 30 June, as what is blocked may be so before one is confirmed."""
        if not self.alerts:
            raise self.refused("alerts", "wanted the alerts whose matches the report named, one at least")
        for place, alert in enumerate(self.alerts):
            opened_at = matches.get(alert)
            if opened_at is None or last_day_at(opened_at) > held_on(self.year):
                wanted = f"wanted an alert that was opened by 30 June {self.year}, and confirmed"
                raise self.refused(f"alerts[{place}]", wanted)
        return tuple(sorted({*map(str, self.alerts)}))
