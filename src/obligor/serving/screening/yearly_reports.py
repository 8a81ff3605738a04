"""What people say of the report of a year: that what was blocked on 30 June was reported (31 CFR 501.603(b)(2)).

It is said once for a year, with the matches whose property it named, which nobody knows but who filed it. Where something was
wrong it is said again, with a reason, as of the report of one match: the last one counts, and those before it stay.
"""

from __future__ import annotations

from datetime import MAXYEAR, date, datetime
from typing import TYPE_CHECKING, Final, NamedTuple
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

from obligor.core.errors import ClashError
from obligor.governance.law.reporting import held_on, is_yearly_late, last_day_at
from obligor.serving.rows import YearlyReportRow
from obligor.serving.screening.alert_steps import Filing, Step

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = "obligor/yearly-report/1"


class StoredYearlyReport(NamedTuple):
    """That the report of a year was filed, as it is kept."""

    year: int
    number: int
    """From 2 on, it amends the one before."""
    reference: str
    reported_on: date
    alerts: tuple[str, ...]
    """Whose matches it named."""
    because: str | None
    """Why it amends the one before."""
    at: datetime
    by: str


class YearlyReports(NamedTuple):
    """What was said of yearly reports, and what they may name."""

    reports: tuple[StoredYearlyReport, ...]
    """Of every year; those of one year in turn."""
    matches: Mapping[UUID, datetime]
    """The alerts that were confirmed, and corrected since or not, by when they were opened."""


class YearlyReport(Filing[YearlyReports], frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That the report of a year was filed, and which matches it named."""

    year: int
    alerts: tuple[UUID, ...] | None = None
    """Those said before where none are given."""

    name = "yearly report"
    route = "alerts/yearly-reports"
    most_bytes = 1 << 16

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
        day = self.reported_on or (last_day_at(at) if last is None else last.reported_on)
        if not held_on(self.year) <= day <= at.date():
            raise self.refused("reported_on", "wanted a day from 30 June of the year to today (UTC)")
        alerts = last.alerts if last is not None and self.alerts is None else self._named(stored.matches)
        if last is not None and (last.reference, last.reported_on, last.alerts) == (self.reference, day, alerts):
            raise ClashError("this is what the last report of this year says")
        number = 1 if last is None else last.number + 1
        row = YearlyReportRow(self.year, number, self.reference, day, alerts, self.because, at, by)
        told = {"number": number, "reference": self.reference, "reported_on": day.isoformat(), "alerts": [*alerts]}
        said = {"schema": SCHEMA, **told, "because": self.because}
        return Step("alert.reported.yearly", row, said, told | {"late": is_yearly_late(self.year, day)})

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
