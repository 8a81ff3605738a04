"""An action beside a decision: what a lender says of it, how it is kept, and what is told of it."""

from __future__ import annotations

from datetime import date, datetime  # noqa: TC003  msgspec reads the annotation
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, Protocol

import msgspec

from obligor.core.leaves import time_text
from obligor.serving.acts import Act
from obligor.serving.encoding import encode
from obligor.serving.privacy.sealed import SEALED_INCOMPLETE, SEALED_OFFER
from obligor.serving.privacy.steps import Step
from obligor.serving.said import field_error, read_said

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from uuid import UUID

    from obligor.serving.rows import ActionRow

MOST_ACTION_BYTES: Final = 1 << 13
_MOST_TERMS: Final = 20
_MOST_MISSING: Final = 50
_TOLD: Final = ("decision_id", "step", "done_on", "until", "at")


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A counter-offer, as a lender tells it: other values of what was applied for, a rate, or both."""

    offered_on: date
    """The day on which the applicant was notified of it."""
    respond_by: date
    """Until when they may take it."""
    terms: Annotated[dict[str, Any], msgspec.Meta(max_length=_MOST_TERMS)] = {}
    """By the names and in the units of the contract."""
    rate: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    """A year's, as a share."""


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether an applicant took a counter-offer; who says nothing has not."""

    accepted: bool
    answered_on: date


class Incompleteness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """That an application lacks what its applicant can bring."""

    fields: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=_MOST_MISSING)]
    """By the names of the contract."""
    respond_by: date
    """Until when they may bring it."""


class Followed(NamedTuple):
    """A decision that may have a notice, with what people said after it and what was done beside it."""

    decision_id: UUID
    leaf_index: int
    decided_at: datetime
    outcome: str
    words: tuple[tuple[str, datetime], ...]
    """What overrides and reviews said, and when, in the order of the log."""
    offered_on: date | None
    accepted: bool | None
    incomplete: bool


class ActionArchive(Protocol):
    """Where actions are found again."""

    async def actions_of(self, decision_id: UUID) -> tuple[ActionRow, ...]:
        """Find what was done beside a decision, in the order of the log."""
        ...


class Course(NamedTuple):
    """What was done beside a decision, each at most once."""

    offered: ActionRow | None = None
    answered: ActionRow | None = None
    incomplete: ActionRow | None = None


def course_of(actions: Sequence[ActionRow]) -> Course:
    """Sort what was done beside a decision by what it was."""
    steps = {"accepted": "answered", "not_accepted": "answered"}
    return Course(**{steps.get(it.step, it.step): it for it in actions})


def read_offer(body: bytes | Mapping[str, Any]) -> Offer:
    """Read a counter-offer strictly; a message names a field, and never what it says.

    Raises
    ------
    ApplicationError, TooLargeError, CardDataError
        As they say.
    """
    said = read_said(body, Offer, what="counter-offer", most=MOST_ACTION_BYTES)
    if not said.terms and said.rate is None:
        raise field_error("counter-offer", "terms", "wanted what is offered: terms, a rate, or both")
    if said.respond_by < said.offered_on:
        raise field_error("counter-offer", "respond_by", "wanted a day from that of the offer on")
    return said


def made(row: ActionRow, said: Offer) -> Step:
    """Give the step by which a counter-offer is recorded; what is offered is sealed."""
    words = {"terms": said.terms, "rate": said.rate}
    return Step("offer.made", row.at, row.by, row.decision_id, (row,), _plain(row), SEALED_OFFER, words)


def answered(row: ActionRow, *, salt: bytes) -> Act:
    """Give the act of an answer, which says nothing of a person."""
    record = encode({"schema": "obligor/offer-answer/1", **_plain(row)})
    return Act("offer.answered", row.at, row.by, str(row.decision_id), record, salt, (row,))


def lacking(row: ActionRow, said: Incompleteness) -> Step:
    """Give the step by which it is recorded that an application is incomplete; what it lacks is sealed."""
    words = {"fields": said.fields}
    return Step(
        "application.incomplete", row.at, row.by, row.decision_id, (row,), _plain(row), SEALED_INCOMPLETE, words
    )


def _plain(row: ActionRow) -> dict[str, Any]:
    return {
        "decision_id": str(row.decision_id),
        "client_id": row.client_id,
        "step": row.step,
        "done_on": row.done_on.isoformat(),
        "until": None if row.until is None else row.until.isoformat(),
        "at": time_text(row.at),
        "by": row.by,
    }


def plain(row: ActionRow) -> dict[str, Any]:
    """Tell of an action what may be told of it to whoever may see its decision; never what was offered or is missing."""
    told = _plain(row)
    return {name: told[name] for name in _TOLD}


def told_of(record: bytes) -> dict[str, Any]:
    """Give what is answered to who recorded an action."""
    said = msgspec.json.decode(record)
    return {name: said[name] for name in _TOLD}
