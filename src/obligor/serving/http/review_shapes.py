"""Reviews of decisions, as models: see ``shapes``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from obligor.serving.http.shapes import Instant, OutcomeName, ReceiptTold, Shape


class ReviewAsked(Shape):
    """What an applicant asks of a review."""

    statement: Annotated[str, Field(max_length=8000, pattern="^[^\\x00]*$")] = ""
    """Their own view of the decision, in their words."""
    corrections: dict[str, Any] = {}  # noqa: RUF012  pydantic copies it
    """Fields of the application that were wrong, as they should be."""


class ReviewAnswer(Shape):
    """A request for a review, recorded."""

    review_id: UUID
    decision_id: UUID
    requested_at: Instant
    due_on: date
    """The last day (UTC) on which it is answered in time."""
    pack: str | None
    """The rule pack that sets the period; null: the lender does."""
    state: Literal["open"]
    receipt: ReceiptTold


class ReviewTold(Shape):
    """A review of a decision, and what came of it; never what the applicant wrote."""

    review_id: UUID
    decision_id: UUID
    requested_at: Instant
    due_on: date
    pack: str | None
    state: Literal["open", "decided"]
    late: bool
    """Whether it was, or still is, answered too late."""
    told_late_at: Instant | None
    """When the audit log and the client's systems were told so."""
    verdict: Literal["kept", "changed"] | None
    outcome: OutcomeName | None
    decided_at: Instant | None
    new_decision_id: UUID | None
    """The decision on the corrected application, where there was one."""


class ReviewsTold(Shape):
    """The reviews of a decision, in the order in which they were asked for."""

    reviews: list[ReviewTold]


class ReviewRead(ReviewTold):
    """A review, and what the applicant wrote where the caller may decide on it."""

    statement: str | None
    """Their own view; null for whoever may not decide."""
    corrections: dict[str, Any] | None
    """Fields of the application that were wrong, as they should be; null for whoever may not decide."""


class ReviewFound(Shape):
    """What a reviewer found."""

    outcome: Literal["approve", "decline", "again"]
    """What they decide; `again` decides on the application as it was corrected."""
    factors: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=4)] = []  # noqa: RUF012  pydantic copies it
    """What they looked at, in words for the applicant; at least one, and none with `again`."""


class ReviewDecided(Shape):
    """What came of a review, recorded."""

    review_id: UUID
    verdict: Literal["kept", "changed"]
    outcome: OutcomeName
    decided_at: Instant
    new_decision_id: UUID | None
    receipt: ReceiptTold
