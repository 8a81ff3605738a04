"""What clients' systems were told, held against the acts that it tells of.

An event stands in the outbox under the leaf of its act: it must tell what the record says. Every decision of a client that has
an endpoint for decisions must have one. A running service hears of a new endpoint at once; where no notice reaches it, within
seconds: so an endpoint's due begins a minute after its act. Events of long ago were pruned, and are not asked for. A note
says up to when, which the service writes and nothing signs: so it is told, and must not go beyond what the setting prunes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import AuditError
from obligor.core.event_types import (
    DECISION_MADE,
    DECISION_OVERRIDDEN,
    DECISION_REVIEWED,
    HELD_LATE,
    OUTCOME_REPORTED,
    PERSON_ERASED,
    REVIEW_LATE,
)
from obligor.core.leaves import time_text
from obligor.core.strict_json import read_strict_json
from obligor.governance.audit.examination import Check, Faults, judged, looked_at

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from obligor.core.leaves import Leaf
    from obligor.governance.audit.projections import AtLeaves

_EVENTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "decision": (DECISION_MADE, ("decision_id", "application_id", "decided_at", "outcome", "pins")),
    "outcome": (OUTCOME_REPORTED, ("report_id", "decision_id", "status", "observed_on")),
    "erasure.told": (PERSON_ERASED, ("decision_ids", "erased_at")),
    "override.decided": (DECISION_OVERRIDDEN, ("decision_id", "outcome", "decided_at")),
    "review.decided": (
        DECISION_REVIEWED,
        ("review_id", "decision_id", "verdict", "outcome", "decided_at", "new_decision_id"),
    ),
    HELD_LATE: (HELD_LATE, ("decision_id", "due_at", "pack")),
    REVIEW_LATE: (REVIEW_LATE, ("review_id", "decision_id", "due_at", "pack")),
}
"""For each kind of act the event that tells of it, and the fields that both have."""
_DUE: Final[Mapping[str, str]] = {"decision": "decision", "erasure.told": "erasure of"}
"""Acts of which the client that they name must be told, and what each is called."""
_HEARD_AFTER: Final = timedelta(minutes=1)
_CLOCKS_DIFFER: Final = timedelta(hours=1)
"""By as much the log may be ahead of the clock of who made an event."""
_KEPT_AT_LEAST: Final = timedelta(days=1)
"""What is settled, whatever is set."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it stands in the outbox."""

    leaf_index: int
    client_id: str
    application_id: str | None
    type: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Endpoint:
    client_id: str
    event_types: frozenset[str]
    since: datetime


@dataclass(slots=True)
class Told:
    """What was seen of events, leaf by leaf."""

    events: AtLeaves[StoredEvent]
    pruned_before: datetime | None = None
    untrue: Faults = field(default_factory=Faults)
    missing: Faults = field(default_factory=Faults)
    count: int = 0
    _endpoints: dict[str, _Endpoint] = field(default_factory=dict)
    _any: bool = False

    def take(self, index: int, leaf: Leaf, said: Mapping[str, Any]) -> None:
        """Hold the events of a leaf against its record."""
        self._pass(self.events.before(index))
        found = list(self.events.at(index))
        self.count += len(found)
        if leaf.kind.startswith("webhook."):
            self._note(leaf, said)
        wanted, fields = _EVENTS.get(leaf.kind, ("", ()))
        for event in found:
            if event.type != wanted:
                self.untrue.add(f"leaf {index}: an event {event.type} of an act {leaf.kind}")
            elif wrong := _untrue(event, leaf.kind, said, fields):
                self.untrue.add(f"{leaf.kind} {leaf.subject} at leaf {index}: its event tells another {wrong}")
        if leaf.kind in _DUE and not found and self._is_due(said.get("client_id"), wanted, leaf.at):
            self.missing.add(f"{_DUE[leaf.kind]} {leaf.subject} at leaf {index}: its client's system is not told of it")

    def check(self, stray_deliveries: int, now: datetime, *, kept: timedelta) -> Check:
        """Judge what was told, where events that are over are kept for so long."""
        self._pass(self.events.rest())
        if self.pruned_before is not None and self.pruned_before > now - _KEPT_AT_LEAST + _CLOCKS_DIFFER:
            self.untrue.add(
                f"events are noted as pruned up to {time_text(self.pruned_before)}: none of the last day is"
            )
        if stray_deliveries:
            self.untrue.add(f"{stray_deliveries:,} deliveries are of no event or endpoint")
        claim = "nothing is told outside that was not decided"
        if not (self._any or self.count or self.untrue.count):
            return Check("I8", claim, "not applicable", "no client has an endpoint")
        if self.untrue.count or self.pruned_before is None:
            return judged("I8", claim, self.untrue, {"events": self.count})
        noted, latest = f"events were pruned up to {time_text(self.pruned_before)}", now - kept
        if self.pruned_before > latest + _CLOCKS_DIFFER:
            wanted = f"{noted}; wanted {time_text(latest)} at the latest, as OBLIGOR_EVENT_DAYS is {kept.days} here"
            return looked_at("I8", claim, Faults([wanted]), {"events": self.count})
        return judged("I8", claim, self.untrue, {"events": self.count}, note=noted)

    def _note(self, leaf: Leaf, said: Mapping[str, Any]) -> None:
        self._any = True
        name = str(said.get("endpoint_id"))
        if said.get("state") != "active":
            self._endpoints.pop(name, None)
        elif name not in self._endpoints:
            events = frozenset(map(str, said.get("event_types") or ()))
            self._endpoints[name] = _Endpoint(str(said.get("client_id")), events, leaf.at)

    def _is_due(self, client_id: object, event: str, at: datetime) -> bool:
        if self.pruned_before is not None and at < self.pruned_before + _CLOCKS_DIFFER:
            return False
        return any(
            it.client_id == client_id and event in it.event_types and at - it.since > _HEARD_AFTER
            for it in self._endpoints.values()
        )

    def _pass(self, events: Iterator[StoredEvent]) -> None:
        for event in events:
            self.count += 1
            self.untrue.add(f"leaf {event.leaf_index}: an event {event.type} of an act that is not in the log")


def _untrue(event: StoredEvent, kind: str, said: Mapping[str, Any], fields: tuple[str, ...]) -> str:
    """Name the first field of an event that is not what the record says."""
    try:
        told = read_strict_json(event.payload, what="an event", error=AuditError)
    except AuditError:
        return "form"
    if not isinstance(told, dict):
        return "form"
    if kind in _DUE and (event.client_id, event.application_id) != (said["client_id"], said.get("application_id")):
        return "client or application"
    return next((name for name in fields if told.get(name) != said.get(name)), "")
