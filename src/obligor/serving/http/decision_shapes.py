"""Decisions, their explanations and what is reported of them, as models: see ``shapes``."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from obligor.serving.http.shapes import Instant, OutcomeName, Problem, ReceiptTold, Sha256, Shape, or_absent

ReportedStatus = Literal["good", "bad", "indeterminate"]


class ReasonTold(Shape):
    """A principal reason of a decline."""

    code: str
    """Its family, its characteristic, or its rule."""
    text: str
    """What the applicant reads."""


class Pins(Shape):
    """What the decision was made with, by hash."""

    card_sha256: Sha256
    policy_sha256: Sha256
    profile_sha256: Sha256
    release: Annotated[int, Field(ge=1)]
    """The number of the release."""
    code: str
    """The code of the service: its version, and the beginning of a hash of its files."""


class Assessed(Shape):
    """What comes of an application."""

    outcome: OutcomeName
    because: str
    """`score`, `grey_zone`, `knockout:<name>`, `gate:review`, `gate:kyc:fail`, `no_principal_reason`,
    `reason_without_text`."""
    score: float
    """In points, with three decimals."""
    pd: Annotated[float, Field(ge=0, le=1)]
    """The probability of turning bad within the horizon of the card."""
    band: str
    """The band of risk."""
    cutoff: float
    """The score from which it is approved, in points."""
    reasons: list[ReasonTold]
    """The principal reasons, of a decline only."""
    unusual: list[str]
    """Fields outside their range or with a level never seen, and why; never the value."""
    pins: Pins


class Decision(Assessed):
    """A decision that was recorded."""

    decision_id: UUID
    application_id: str | None
    """What the client calls the application, where the contract has a column for it."""
    decided_at: Instant
    receipt: ReceiptTold


class Standing(Shape):
    """What a person last said of a decision, which is what holds: an override, or a review."""

    outcome: OutcomeName
    said_by: Literal["override", "review"]
    at: Instant
    expires_at: Instant | None
    """From when on nothing is paid out by it; null: it has no end."""
    expired: bool
    new_decision_id: UUID | None
    """The decision that took its place, where the application was decided on again."""


class DecisionRead(Decision):
    """A decision as it was answered, and what people said of it since."""

    stands: Annotated[Standing | None, Field(json_schema_extra=or_absent)] = None
    """What holds now; absent where nobody said anything since."""


class Simulation(Assessed):
    """What would be decided; nothing was recorded."""

    simulated: Literal[True]
    decided_at: Instant


class Decided(Shape):
    """A decision on one of many applications."""

    decision: Decision


class Refused(Shape):
    """The problem of one of many applications."""

    problem: Problem


class BulkAnswer(Shape):
    """For each application, in order, its decision or its problem."""

    results: list[Decided | Refused]


class DecisionBroken(Shape):
    """A decision that is kept otherwise than it was recorded: nothing that is kept of it is told."""

    decision_id: UUID
    broken: Literal[True]


class DecisionPage(Shape):
    """Decisions, the newest first."""

    decisions: list[DecisionRead | DecisionBroken]
    next_cursor: str | None
    """Given back as `cursor`, it leads to the next page; null on the last."""


class LinkTold(Shape):
    """Another decision that belongs together with one."""

    decision_id: UUID
    why: Literal["repeated", "contradicting", "velocity", "other_person", "other_number"]
    """Of the later of the two: the same application with the same input, or with another; one of too many applications of one
    person within a day; the same number of an identity with another name or birth date; the same name and birth date with
    another number."""
    is_: Annotated[Literal["earlier", "later"], Field(alias="is")]
    """Whether the other one was decided on before, or since."""
    linked_at: Instant


class LinksTold(Shape):
    """Decisions that belong together with one, the newest first."""

    decision_id: UUID
    compared: bool
    """Whether it was compared with earlier ones by now, which takes a moment; later ones may yet be linked to it."""
    links: list[LinkTold]


class ReportAnswer(Shape):
    """What was reported of a loan, as it was recorded."""

    report_id: UUID
    decision_id: UUID
    status: ReportedStatus
    observed_on: date
    reported_at: Instant
    receipt: ReceiptTold


class ScreeningTold(Shape):
    """That who was approved was screened again."""

    screening_id: UUID
    decision_id: UUID
    result: Literal["pass", "review"]
    """`pass`: nothing stands against paying out; `review`: do not, until a person has looked. Why is never told."""
    screened_at: Instant
    receipt: ReceiptTold


class Report(Shape):
    """What became of a loan."""

    status: ReportedStatus
    observed_on: date
    """The day on which that was so: from that of the decision to today."""


class ApplicationTold(Shape):
    """What an application says, each field by the class of its column."""

    decision_id: UUID
    masked: Literal["masked", "pseudonymised"]
    application: dict[str, Any]
    classes: dict[str, Literal["none", "quasi", "direct", "card", "identifier", "protected", "history"]]


class RevealAsked(Shape):
    """Which fields are to be revealed, and what for."""

    fields: Annotated[list[str], Field(min_length=1, max_length=50)]
    purpose: Annotated[str, Field(min_length=3, max_length=300)]
    """It is kept as it is: name the case, and not the person."""


class Revealed(Shape):
    """Fields of an application, in the clear."""

    reveal_id: UUID
    decision_id: UUID
    revealed_at: Instant
    fields: list[str]
    purpose: str
    receipt: ReceiptTold
    values: dict[str, Any]


class ContributionTold(Shape):
    """What a characteristic adds to the score."""

    feature: str
    bin: str
    """The label of the bin that the value fell into."""
    missing: bool
    points: float
    shap: float
    """Its Shapley value in points, against the mean applicant."""
    shap_log_odds: float


class StepTold(Shape):
    """A step of the waterfall from the mean score to this one, in points."""

    name: str
    start: float
    end: float


class ChangeTold(Shape):
    """One characteristic that moves to another bin."""

    feature: str
    from_bin: str | None
    to_bin: str


class WayTold(Shape):
    """A change of few characteristics that would be approved."""

    changes: list[ChangeTold]
    score: float
    scored: str
    """`application`: the changed application was scored again; `bins`: its bins were."""


class PairTold(Shape):
    """Points that two characteristics earn together."""

    features: list[str]
    points: float


class ReasonExplained(ReasonTold):
    """A principal reason, with what fell short and by how much."""

    feature: str
    shortfall: float
    """In points."""


class ExplanationTold(Shape):
    """A decision explained by the card that made it."""

    decision_id: UUID
    application_id: str | None
    outcome: OutcomeName
    because: str
    knockouts: list[str]
    """The rules that fired."""
    card: str
    card_sha256: Sha256
    score: float
    pd: float
    horizon_months: int
    band: str
    cutoff: float
    approved: bool
    """Whether the score reaches what it takes to be approved."""
    base_points: float
    mean: float
    """The mean score, from which the contributions lead to the score."""
    contributions: list[ContributionTold]
    withheld: None
    pairs: list[PairTold]
    reasons: list[ReasonExplained]
    """What falls short of applicants near the cut-off."""
    counterfactuals: list[WayTold]
    """The nearest changes that would be approved by the score."""
    waterfall: list[StepTold]
