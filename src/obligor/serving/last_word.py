"""What stands of a decision once people have had their say: an override, or a review, which may follow one; the last counts.

A decision is what was answered when it was made, and stays so. Whoever pays out, tells an applicant why, or reviews goes by
what stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from obligor.core.leaves import time_text

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID


class LastWord(NamedTuple):
    """What a person last said of a decision."""

    decision_id: UUID
    said_by: Literal["override", "review"]
    outcome: str
    at: datetime
    expires_at: datetime | None
    """The instant from which nothing is paid out by it; None: it has no end."""
    new_decision_id: UUID | None
    """The decision that took its place, where the application was decided on again."""

    def expired(self, at: datetime) -> bool:
        """Tell whether nothing is paid out by it any more."""
        return self.expires_at is not None and at >= self.expires_at

    def to_plain(self, at: datetime) -> dict[str, Any]:
        """Tell of it what may be told to whoever may see the decision."""
        return {
            "outcome": self.outcome,
            "said_by": self.said_by,
            "at": time_text(self.at),
            "expires_at": None if self.expires_at is None else time_text(self.expires_at),
            "expired": self.expired(at),
            "new_decision_id": None if self.new_decision_id is None else str(self.new_decision_id),
        }
