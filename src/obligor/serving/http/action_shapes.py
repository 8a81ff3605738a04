"""What a lender did beside a decision, as models: see ``shapes``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from obligor.serving.http.shapes import Instant, ReceiptTold, Shape


class OfferMade(Shape):
    """Other terms that were offered in place of a decline: `terms`, `rate`, or both."""

    offered_on: date
    """The day on which the applicant was notified of it: the clock of its notice runs from there."""
    respond_by: date
    """Until when they may take it."""
    terms: Annotated[dict[str, float | str | bool], Field(max_length=20)] = {}  # noqa: RUF012  pydantic copies it
    """What is offered, by the names and in the units of the contract: `{"loan_amount": 8000}`. It is sealed."""
    rate: Annotated[float, Field(gt=0, le=1)] | None = None
    """What is asked for a year, as a share: 0.085 is 8.5 %. It is sealed."""


class OfferAnswered(Shape):
    """Whether the applicant took a counter-offer; who says nothing, or neither accepts nor uses it, has not."""

    accepted: bool
    answered_on: date


class Incomplete(Shape):
    """That an application lacks what its applicant can bring."""

    fields: Annotated[list[Annotated[str, Field(max_length=100)]], Field(min_length=1, max_length=50)]
    """What is missing, by the names of the contract; it is sealed."""
    respond_by: date
    """Until when the applicant may bring it."""


class ActionTold(Shape):
    """What a lender did beside a decision; never what was offered or is missing."""

    decision_id: UUID
    step: Literal["offered", "accepted", "not_accepted", "incomplete"]
    done_on: date
    until: date | None
    """Until when the applicant may take the offer, or bring what is missing; null of an answer."""
    at: Instant


class ActionRecorded(ActionTold):
    """What a lender did beside a decision, recorded."""

    receipt: ReceiptTold


class Actions(Shape):
    """What a lender did beside a decision, in the order in which it was recorded."""

    actions: list[ActionTold]
