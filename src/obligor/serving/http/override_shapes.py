"""Overrides of decisions, as models: see ``shapes``."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from obligor.serving.http.shapes import Instant, ReceiptTold, Shape

OverrideOutcome = Literal["approve", "decline"]


class OverrideAsked(Shape):
    """What a person decides in place of a decision, and why."""

    outcome: OverrideOutcome
    reason: Annotated[str, Field(max_length=200)]
    """A code of the policy in force (`GET /v1/policy`: `authority.reasons`)."""
    rationale: Annotated[str, Field(min_length=1, max_length=2000, pattern="^[^\\x00]*$")]
    """Why, in their own words; it is sealed, and told to nobody but the applicant who asks for all that is kept of them."""
    factors: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=4)] = []  # noqa: RUF012  pydantic copies it
    """What they looked at, in words for the applicant; at least one where it declines."""


class _Overridden(Shape):
    decision_id: UUID
    """Of the decision that it overrides, which stays as it was."""
    outcome: OverrideOutcome
    direction: Literal["low_side", "high_side", "none"]
    """`low_side`: it approves what scored below the cut-off; `high_side`: it declines what scored at or above it."""
    reason: str
    decided_at: Instant
    expires_at: Instant | None
    """From when on nothing is paid out by it; null of one that declines."""


class OverrideRecorded(_Overridden):
    """An override, recorded."""

    receipt: ReceiptTold


class OverrideTold(_Overridden):
    """The override of a decision; never what the person wrote."""

    state: Literal["in_force", "expired", "reviewed"]
    """`expired`: nothing is paid out by it; `reviewed`: a review answered since, and its outcome holds."""
