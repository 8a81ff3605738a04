"""What the log says of reports to OFAC: which confirmed match should have been reported, and was not, or later than its day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from obligor.governance.audit.examination import Check, Faults, looked_at
from obligor.governance.law.reporting import (
    first_year_of,
    is_late,
    is_yearly_late,
    last_day_at,
    report_due_on,
    yearly_report_due_on,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from obligor.core.leaves import Leaf


@dataclass(slots=True)
class Reports:
    """What was seen of confirmed matches, leaf by leaf."""

    due: dict[str, date] = field(default_factory=dict)
    """By alert, the last day for the report of a match that was not corrected."""
    confirmed_at: dict[str, datetime] = field(default_factory=dict)
    reported_on: dict[str, date | None] = field(default_factory=dict)
    """By alert, the day that its last report says."""
    filed_on: dict[int, date | None] = field(default_factory=dict)
    """By year, the day that the last of its yearly reports says."""

    def take(self, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Take an act with its record; those that are of no match are passed over."""
        match leaf.kind:
            case "alert.confirmed":
                if (due := report_due_on(leaf.at)) is not None:
                    self.due[leaf.subject] = due
                    self.confirmed_at[leaf.subject] = leaf.at
            case "alert.reported":
                self.reported_on[leaf.subject] = _day(said.get("reported_on"))
            case "alert.reported.yearly":
                if (held := _day(f"{leaf.subject}-06-30")) is not None:
                    self.filed_on[held.year] = _day(said.get("reported_on"))
            case "alert.corrected":
                self.due.pop(leaf.subject, None)

    def check(self, now: datetime) -> Check:
        """Look for matches whose day has passed without a report; those reported after it are counted."""
        today = last_day_at(now)
        waiting = {id_: due for id_, due in self.due.items() if id_ not in self.reported_on}
        missing = Faults(f"alert {id_}: was to be reported by {due}" for id_, due in waiting.items() if due < today)
        days = [(self.confirmed_at[id_], day) for id_, day in self.reported_on.items() if day and id_ in self.due]
        late = sum(is_late(confirmed_at, day) for confirmed_at, day in days)
        counts = Counter({"not reported yet": len(waiting), "reported late": late})
        for confirmed_at in (self.confirmed_at[id_] for id_ in self.due):
            if (due := yearly_report_due_on(confirmed_at, now, filed=self.filed_on)) is not None:
                counts[f"in the yearly report by {due}"] += 1
                missed = {*range(first_year_of(confirmed_at), due.year)} - {*self.filed_on}
                counts.update(f"confirmed, and no yearly report of {year}" for year in missed)
        filed = ((year, day) for year, day in self.filed_on.items() if day)
        counts.update(f"yearly report of {year} filed late" for year, day in filed if is_yearly_late(year, day))
        return looked_at("reports", "confirmed matches are reported in time", missing, counts)


def _day(said: object) -> date | None:
    """Give the day that a record says; None where it says none, of which others tell."""
    try:
        return date.fromisoformat(str(said))
    except ValueError:
        return None
