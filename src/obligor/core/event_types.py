"""The types of events that the systems of clients are told of."""

from __future__ import annotations

from typing import Final

DECISION_MADE: Final = "decision.made"
OUTCOME_REPORTED: Final = "outcome.reported"
PERSON_ERASED: Final = "person.erased"
DECISION_OVERRIDDEN: Final = "decision.overridden"
DECISION_REVIEWED: Final = "decision.reviewed"
REVIEW_LATE: Final = "review.late"
HELD_LATE: Final = "held.late"
EVENT_TYPES: Final = (
    *(DECISION_MADE, OUTCOME_REPORTED, PERSON_ERASED, DECISION_OVERRIDDEN, DECISION_REVIEWED),
    *(REVIEW_LATE, HELD_LATE),
)
