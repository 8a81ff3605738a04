"""What a client's own systems are told: events, each written with the act that it tells of.

An event tells which application was decided on and how, and where to ask for more: no score, no reason, nothing that the
applicant said. It is made only where the client has an endpoint that wants it; for the others it costs a look into a set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from obligor.core.errors import InvalidInputError
from obligor.core.event_types import (
    DECISION_MADE,
    DECISION_OVERRIDDEN,
    DECISION_REVIEWED,
    EVENT_TYPES,
    OUTCOME_REPORTED,
)
from obligor.core.leaves import time_text
from obligor.serving.answers import record_of
from obligor.serving.encoding import encode_in_order
from obligor.serving.rows import OutboxRow

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.archive import StoredDecision
    from obligor.serving.records import Told
    from obligor.serving.rows import OverrideRow, ReviewDecisionRow, WebhookRow

_TOLD_OF_DECISIONS: Final = ("decision_id", "application_id", "decided_at", "outcome", "because", "pins")


class Listeners:
    """Which clients want to be told of what, as far as this process knows."""

    def __init__(self) -> None:
        self._wanted: frozenset[tuple[str, str]] = frozenset()

    def take(self, endpoints: Iterable[WebhookRow]) -> None:
        """Know the endpoints that there are."""
        self._wanted = frozenset(
            (it.client_id, event) for it in endpoints if it.state == "active" for event in it.event_types
        )

    def want(self, client_id: str, event: str) -> bool:
        """Tell whether a client has an endpoint for a type of event."""
        return (client_id, event) in self._wanted


def decision_made(told: Told, *, application_id: str | None, event_id: UUID, client_id: str, at: datetime) -> OutboxRow:
    """Tell of a decision what its answer tells, without what is said of the person, and by the application's given name."""
    said = {name: getattr(told, name) for name in _TOLD_OF_DECISIONS} | {"application_id": application_id}
    return OutboxRow(event_id, client_id, application_id, DECISION_MADE, encode_in_order(said), at)


def outcome_reported(report: Mapping[str, Any], stored: StoredDecision, *, event_id: UUID, at: datetime) -> OutboxRow:
    """Tell whose decision it was of what was reported."""
    application_id = record_of(stored)["application_id"]
    payload = encode_in_order({"application_id": application_id, **report})
    return OutboxRow(event_id, stored.client_id, application_id, OUTCOME_REPORTED, payload, at)


def decision_overridden(row: OverrideRow, stored: StoredDecision, *, event_id: UUID) -> OutboxRow:
    """Tell that a person decided in place of a decision, and what; no word of why."""
    application_id = record_of(stored)["application_id"]
    said = {"decision_id": str(row.decision_id), "application_id": application_id, "outcome": row.outcome}
    payload = encode_in_order(said | {"decided_at": time_text(row.decided_at)})
    return OutboxRow(event_id, row.client_id, application_id, DECISION_OVERRIDDEN, payload, row.decided_at)


def decision_reviewed(row: ReviewDecisionRow, stored: StoredDecision, *, event_id: UUID) -> OutboxRow:
    """Tell what came of a review; no word of what the applicant wrote, nor of why."""
    application_id = record_of(stored)["application_id"]
    said = {
        "review_id": str(row.review_id),
        "decision_id": str(stored.decision_id),
        "application_id": application_id,
        "verdict": row.verdict,
        "outcome": row.outcome,
        "decided_at": time_text(row.decided_at),
        "new_decision_id": None if row.new_decision_id is None else str(row.new_decision_id),
    }
    payload = encode_in_order(said)
    return OutboxRow(event_id, stored.client_id, application_id, DECISION_REVIEWED, payload, row.decided_at)


def told_late(
    event: str, said: Mapping[str, Any], stored: StoredDecision, *, event_id: UUID, at: datetime
) -> OutboxRow:
    """Tell that an answer on a decision is late: what its record says, under the name of the application."""
    application_id = record_of(stored)["application_id"]
    payload = encode_in_order({"application_id": application_id, **said})
    return OutboxRow(event_id, stored.client_id, application_id, event, payload, at)


def check_event_types(given: Iterable[str]) -> None:
    """Refuse types of events that there are not."""
    unknown = sorted(set(given).difference(EVENT_TYPES))
    if unknown or not given:
        raise InvalidInputError(f"events: got {', '.join(unknown) or 'none'}; wanted some of {', '.join(EVENT_TYPES)}")
