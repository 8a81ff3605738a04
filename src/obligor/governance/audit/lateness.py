"""What the log says of answers that were due: each that is late is told so, once, and none that was in time."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from obligor.core import event_types
from obligor.core.errors import AuditError
from obligor.core.leaves import parse_time
from obligor.governance.audit.examination import Check, Faults, judged, looked_at

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from obligor.core.leaves import Leaf

_TOLD_WITHIN: Final = timedelta(hours=1)
"""By then a service that runs has told."""


@dataclass(slots=True)
class Clocks:
    """What was seen of reviews, and of applications that are held, leaf by leaf."""

    open: dict[str, datetime] = field(default_factory=dict)
    """By review, the instant from which it is late; of those that nobody answered."""
    due: dict[str, str] = field(default_factory=dict)
    """By review, the same as its record says it; of those that may still be told late."""
    held: dict[str, datetime | None] = field(default_factory=dict)
    """The decisions that hold an application, with their times."""
    told: set[str] = field(default_factory=set)
    missed: set[str] = field(default_factory=set)
    """Reviews that were answered late and not told so, since the first of anything that was."""
    untrue: Faults = field(default_factory=Faults)

    def take(self, index: int, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Take an act with its record; those that are of neither are passed over."""
        match leaf.kind:
            case "decision":
                if said.get("outcome") == "hold":
                    self.held[leaf.subject] = _time(said.get("decided_at"))
            case "review.requested":
                self.due[leaf.subject] = str(said.get("due_at"))
                if (due := _time(said.get("due_at"))) is not None:
                    self.open[leaf.subject] = due
            case "review.decided":
                due, at = self.open.pop(leaf.subject, None), _time(said.get("decided_at"))
                if due is not None and at is not None and at < due:
                    self.due.pop(leaf.subject, None)
                elif due is not None and self.told and leaf.subject not in self.told:
                    self.missed.add(leaf.subject)
            case event_types.REVIEW_LATE | event_types.HELD_LATE:
                if wrong := self._wrong(leaf, said):
                    self.untrue.add(f"{leaf.kind} {leaf.subject} at leaf {index}: {wrong}")
                self.told.add(leaf.subject)
                self.missed.discard(leaf.subject)

    def check(self, now: datetime) -> Check:
        """Judge what was told, and look for open reviews that are late and were not."""
        claim, counts = "reviews that are late are told so once, and nothing else is", {"late": len(self.told)}
        if self.untrue.count:
            return judged("late", claim, self.untrue, counts)
        waits = {it for it, due in self.open.items() if now - due > _TOLD_WITHIN and it not in self.told}
        late = sorted(waits | self.missed)
        return looked_at("late", claim, Faults(f"review {it}: is late, and no service told so" for it in late), counts)

    def _wrong(self, leaf: Leaf, said: Mapping[str, Any]) -> str:
        if leaf.subject in self.told:
            return "was told before"
        due = _time(said.get("due_at"))
        if leaf.kind == event_types.HELD_LATE and leaf.subject not in self.held:
            return "no decision that holds anybody"
        if leaf.kind == event_types.REVIEW_LATE and leaf.subject not in self.due:
            return "no such review, or it was answered in time"
        if due is None or said.get("due_at") != self.due.get(leaf.subject, said.get("due_at")):
            return "due at another time"
        if leaf.kind == event_types.HELD_LATE and (held := self.held[leaf.subject]) is not None and due <= held:
            return "due before it was held"
        return "before it was due" if leaf.at < due else ""


def _time(said: object) -> datetime | None:
    """Give the time that a record says; None where it says none, of which others tell."""
    try:
        return parse_time(str(said))
    except AuditError:
        return None
