"""A review of a decision: what an applicant asks, what a person finds, how it is kept, and what is told of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, NamedTuple, Protocol
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.core.errors import InvalidInputError
from obligor.core.leaves import time_text
from obligor.serving.said import check_factors, field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from obligor.core.errors import ApplicationError

MOST_ASKED_BYTES: Final = 64 << 10
MOST_FOUND_BYTES: Final = 1 << 13
_MOST_STATEMENT: Final = 8000
_MOST_CORRECTIONS: Final = 100
Verdict = Literal["kept", "changed"]


class StoredReview(NamedTuple):
    """A review as it is kept, without what the applicant wrote."""

    review_id: UUID
    decision_id: UUID
    client_id: str
    requested_at: datetime
    due_at: datetime
    """The instant from which it is late."""
    pack: str
    """The rule pack whose clock it is; empty: the lender's own."""
    verdict: Verdict | None
    """None while it is open."""
    outcome: str | None
    decided_at: datetime | None
    by: str | None
    new_decision_id: UUID | None
    told_late_at: datetime | None = None
    """When it was recorded that it is late."""

    def late(self, at: datetime) -> bool:
        """Whether it was, or still is, answered too late."""
        return (self.decided_at or at) >= self.due_at


@dataclass(frozen=True, slots=True)
class Held:
    """Applications that are held: none of their decisions since was another, no review ended it, and nobody was erased."""

    count: int
    late: int
    """Of them, those held since before a time."""
    since: datetime | None
    """When the first of them was held."""
    leaves: Sequence[int] = ()
    """The decisions that hold them, by their leaves."""
    next: int = 0
    """The leaf from which on was not looked yet."""


class HeldSince(NamedTuple):
    """An application that is held, by the first decision that holds it."""

    decision_id: UUID
    decided_at: datetime


class ReviewArchive(Protocol):
    """Where reviews are found again."""

    async def review(self, review_id: UUID) -> StoredReview | None:
        """Find a review."""
        ...

    async def request_of(self, review_id: UUID) -> bytes | None:
        """Give the record of the request for a review: what the applicant wrote."""
        ...

    async def decision_of(self, review_id: UUID) -> bytes | None:
        """Give the record of what came of a review."""
        ...

    async def reviews_of(self, decision_id: UUID) -> tuple[StoredReview, ...]:
        """Give the reviews of a decision, in the order of the log."""
        ...

    async def open_reviews(self) -> tuple[StoredReview, ...]:
        """Give the reviews that wait for an answer, the one that is due first first."""
        ...

    async def held(self, known: Held, *, before: datetime) -> Held:
        """Count those that are held still, with the next ones in the log, and of them those held since before a time."""
        ...

    async def held_late(self, held: Held, *, before: datetime) -> tuple[HeldSince, ...]:
        """Give those that are held since before a time and were not told late, each by the first decision that holds it."""
        ...

    async def took_part(self, decision_id: UUID, *, release: int) -> tuple[str, ...]:
        """Name the people who put the release of a decision in force, overrode it, and agreed to that."""
        ...


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an applicant asks."""

    statement: Annotated[str, msgspec.Meta(max_length=_MOST_STATEMENT)] = ""
    """Their own view, in their words."""
    corrections: Annotated[dict[str, Any], msgspec.Meta(max_length=_MOST_CORRECTIONS)] = {}
    """Fields of the application that were wrong, as they should be."""


class Found(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a reviewer says over a door."""

    outcome: Literal["approve", "decline", "again"]
    """`again`: the application is decided again, as the applicant corrected it."""
    factors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """What a reviewer finds."""

    outcome: Literal["approve", "decline"] | None
    """What they decide; none: that the corrected application is decided again."""
    factors: tuple[str, ...] = ()
    """What they looked at, in words that the applicant may read; the reasons of a decline."""


def read_asked(body: bytes | Mapping[str, Any]) -> Asked:
    """Read a request for a review strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, TooLargeError, CardDataError
        As they say.
    """
    asked = read_said(body, Asked, what="review request", most=MOST_ASKED_BYTES)
    if "\x00" in asked.statement:
        raise asked_error("statement", "wanted a text without NUL")
    if not asked.statement.strip() and not asked.corrections:
        raise asked_error("statement", "wanted a statement, or corrections, or both")
    return asked


def asked_error(field: str, message: str) -> ApplicationError:
    """Tell what is wrong with a field of a request for a review."""
    return field_error("review request", field, message)


def check_finding(finding: Finding) -> None:
    """Refuse a finding that does not say why, or says why of what is decided again."""
    check_factors(finding.factors, of="review")
    if finding.outcome is not None and not finding.factors:
        raise InvalidInputError("review: wanted the factors that the reviewer looked at, at least one")
    if finding.outcome is None and finding.factors:
        raise InvalidInputError("review: what is decided again has reasons of its own; wanted no factors")


def plain(review: StoredReview, at: datetime) -> dict[str, Any]:
    """Tell of a review what may be told of it to whoever may see its decision."""
    return {
        "review_id": str(review.review_id),
        "decision_id": str(review.decision_id),
        "requested_at": time_text(review.requested_at),
        "due_on": due_on(review.due_at),
        "pack": review.pack or None,
        "state": "open" if review.verdict is None else "decided",
        "late": review.late(at),
        "told_late_at": None if review.told_late_at is None else time_text(review.told_late_at),
        "verdict": review.verdict,
        "outcome": review.outcome,
        "decided_at": None if review.decided_at is None else time_text(review.decided_at),
        "new_decision_id": None if review.new_decision_id is None else str(review.new_decision_id),
    }


def due_on(due_at: datetime) -> str:
    """Name the last day on which an answer is in time, by the instant from which it is late."""
    return (due_at - timedelta(days=1)).date().isoformat()
