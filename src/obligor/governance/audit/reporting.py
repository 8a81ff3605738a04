"""What the log says of reports to OFAC: which confirmed match should have been reported, and was not, or later than its day."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from obligor.governance.audit.examination import Check, Faults, looked_at
from obligor.governance.law.reporting import is_late, last_day_at, report_due_on, yearly_report_due_on

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
    reported_on: dict[str, str] = field(default_factory=dict)
    """By alert, the day that its last report says."""

    def take(self, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Take an act with its record; those that are of no match are passed over."""
        match leaf.kind:
            case "alert.confirmed":
                if (due := report_due_on(leaf.at)) is not None:
                    self.due[leaf.subject] = due
                    self.confirmed_at[leaf.subject] = leaf.at
            case "alert.reported":
                self.reported_on[leaf.subject] = str(said.get("reported_on"))
            case "alert.corrected":
                self.due.pop(leaf.subject, None)

    def check(self, now: datetime) -> Check:
        """Look for matches whose day has passed without a report; those reported after it are counted."""
        today = last_day_at(now)
        waiting = {id_: due for id_, due in self.due.items() if id_ not in self.reported_on}
        missing = Faults(f"alert {id_}: was to be reported by {due}" for id_, due in waiting.items() if due < today)
        late = [id_ for id_ in self.reported_on if id_ in self.due and self._is_late(id_)]
        counts = Counter({"not reported yet": len(waiting), "reported late": len(late)})
        yearly = (yearly_report_due_on(self.confirmed_at[id_], now) for id_ in self.due)
        counts.update(f"in the yearly report by {due}" for due in yearly if due is not None)
        return looked_at("reports", "confirmed matches are reported in time", missing, counts)

    def _is_late(self, alert_id: str) -> bool:
        try:
            return is_late(self.confirmed_at[alert_id], date.fromisoformat(self.reported_on[alert_id]))
        except ValueError:  # its record says no day: others tell of that
            return False
