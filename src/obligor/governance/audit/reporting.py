"""What the log says of reports to OFAC: which confirmed match should have been reported, and was not said to be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from obligor.governance.audit.examination import Check, Faults, looked_at
from obligor.governance.law.reporting import last_day_at, report_due_on

if TYPE_CHECKING:
    from datetime import date, datetime

    from obligor.core.leaves import Leaf


@dataclass(slots=True)
class Reports:
    """What was seen of confirmed matches, leaf by leaf."""

    due: dict[str, date] = field(default_factory=dict)
    """By alert, the last day for the report of a match that was neither reported nor corrected."""

    def take(self, leaf: Leaf) -> None:
        """Take an act; those that are of no match are passed over."""
        match leaf.kind:
            case "alert.confirmed":
                if (due := report_due_on(leaf.at)) is not None:
                    self.due[leaf.subject] = due
            case "alert.reported" | "alert.corrected":
                self.due.pop(leaf.subject, None)

    def check(self, now: datetime) -> Check:
        """Look for matches whose day has passed."""
        today = last_day_at(now)
        late = Faults(f"alert {id_}: was to be reported by {due}" for id_, due in self.due.items() if due < today)
        return looked_at("reports", "confirmed matches are reported in time", late, {"not reported yet": len(self.due)})
