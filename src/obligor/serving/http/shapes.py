"""The answers of the service as models: the OpenAPI document is written from them, and tests hold every answer against it.

They check nothing at run time: the service writes its own answers.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from obligor.security.permissions import permissions
from obligor.serving.clearing import MOST_REFERENCE, REFERENCE
from obligor.serving.people.roles import SYSTEMS_ROLE

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
OutcomeName = Literal["approve", "refer", "decline", "hold"]
ReportedStatus = Literal["good", "bad", "indeterminate"]
Instant = Annotated[datetime, Field(examples=["2026-11-26T19:40:00.123456Z"])]


class Shape(BaseModel):
    """An object with these fields and no others."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class FieldError(Shape):
    """One field that is wrong."""

    field: str
    """Its place, as a JSON pointer (RFC 6901), such as `/annual_income`."""
    message: str
    """What was wanted, and what kind of thing came; never the value."""


class Problem(Shape):
    """Why a request failed (RFC 9457)."""

    type: Annotated[str, Field(pattern="^urn:obligor:problem:[a-z-]+$")]
    """What kind of problem it is; a URN that does not change."""
    title: str
    """The same in words."""
    status: Annotated[int, Field(ge=400, le=599)]
    """The HTTP status."""
    detail: str | None = None
    """What was wrong this time."""
    errors: list[FieldError] | None = None
    """The fields that are wrong: the first fifty."""


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
    """The version of the service."""


class ReceiptTold(Shape):
    """Where the decision stands in the audit log."""

    leaf_index: Annotated[int, Field(ge=0)]
    tree_size: Annotated[int, Field(ge=1)]
    """A size of the log that holds it."""


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


class DecisionPage(Shape):
    """Decisions, the newest first."""

    decisions: list[Decision]
    next_cursor: str | None
    """Given back as `cursor`, it leads to the next page; null on the last."""


class ReportAnswer(Shape):
    """What was reported of a loan, as it was recorded."""

    report_id: UUID
    decision_id: UUID
    status: ReportedStatus
    observed_on: date
    reported_at: Instant
    receipt: ReceiptTold


class Report(Shape):
    """What became of a loan."""

    status: ReportedStatus
    observed_on: date
    """The day on which that was so: from that of the decision to today."""


class Credentials(Shape):
    """A user and a password."""

    user: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}$")]
    password: Annotated[str, Field(min_length=1, max_length=256)]


class TokenGiven(Shape):
    """A token for somebody who signed in."""

    access_token: str
    """Sent as `Authorization: Bearer …`."""
    token_type: Literal["Bearer"]
    expires_in: Annotated[int, Field(ge=1)]
    """Seconds for which it opens."""


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


class ReviewAsked(Shape):
    """What an applicant asks of a review."""

    statement: Annotated[str, Field(max_length=8000, pattern="^[^\\x00]*$")] = ""
    """Their own view of the decision, in their words."""
    corrections: dict[str, Any] = {}
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
    verdict: Literal["kept", "changed"] | None
    outcome: OutcomeName | None
    decided_at: Instant | None
    new_decision_id: UUID | None
    """The decision on the corrected application, where there was one."""


class ReviewsTold(Shape):
    """The reviews of a decision, in the order in which they were asked for."""

    reviews: list[ReviewTold]


class AlertTold(Shape):
    """An alert, told to who may read it."""

    alert_id: UUID
    decision_id: UUID
    """The decision on the applicant."""
    client_id: str
    entry: str
    """The id of the entry in the list."""
    score: Annotated[float, Field(ge=0, le=1)]
    list_sha256: Sha256
    opened_at: Instant
    state: Literal["open", "proposed", "cleared", "expired", "confirmed", "doubted", "corrected"]
    """`doubted`: to be corrected, by a second person; `corrected`: cleared, though it was confirmed."""
    needs_second: bool
    """Whether two people clear it."""
    proposed_by: str | None
    cleared_by: str | None
    confirmed_by: str | None
    confirmed_at: Instant | None
    doubted_by: str | None
    report_due_on: date | None
    """The last day for the report of a confirmed match, with no holiday taken out."""
    reported_on: date | None
    """The day on which the match was reported."""
    reported_by: str | None
    """Who said so."""
    report_reference: str | None
    """By which the report is found."""
    because: str | None
    until: Instant | None
    """The instant from which the hit counts again."""


class AlertWhy(Shape):
    """What the list says of the entry that was hit."""

    name: str
    strength: Literal["main", "strong", "weak"]
    kind: str
    programmes: list[str]
    born: Literal["exact", "swapped", "compatible", "near", "different", "unknown"]
    """How the birth date agrees."""


class OneAlertTold(AlertTold):
    """An alert, and why it was opened."""

    why: AlertWhy
    algorithm: str
    rules_sha256: Sha256


class AlertsTold(Shape):
    """The alerts that nobody has cleared: those that wait, then those confirmed, each the most alike first; at most 200."""

    alerts: list[AlertTold]


class ClearanceAsked(Shape):
    """Why an alert is of somebody else."""

    because: Annotated[str, Field(min_length=1, max_length=500)]
    days: Annotated[int, Field(ge=1, le=730)] = 365
    """For how long it holds."""


class ClearanceAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    state: Literal["proposed", "cleared", "doubted", "corrected"]
    """`proposed`, and `doubted` of one that was confirmed: another person has to clear it."""
    at: Instant
    until: Instant
    receipt: ReceiptTold


class ConfirmationAsked(Shape):
    """Why an alert is of who applied."""

    because: Annotated[str, Field(min_length=1, max_length=500)]


class ConfirmationAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    state: Literal["confirmed"]
    at: Instant
    report_due_on: date | None
    """The last day for the report of the match, with no holiday taken out."""
    receipt: ReceiptTold


class AlertReportAsked(Shape):
    """That a confirmed match was reported."""

    reference: Annotated[str, Field(min_length=1, max_length=MOST_REFERENCE, pattern=f"^{REFERENCE}$")]
    """By which the report is found; name nobody."""
    reported_on: date | None = None
    """From the day of the alert to today (UTC), which it is where none is given."""


class AlertReportAnswer(Shape):
    """What was recorded."""

    alert_id: UUID
    reference: str
    reported_on: date
    at: Instant
    receipt: ReceiptTold


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
    factors: Annotated[list[Annotated[str, Field(max_length=300)]], Field(max_length=4)] = []
    """What they looked at, in words for the applicant; at least one, and none with `again`."""


class ReviewDecided(Shape):
    """What came of a review, recorded."""

    review_id: UUID
    verdict: Literal["kept", "changed"]
    outcome: OutcomeName
    decided_at: Instant
    new_decision_id: UUID | None
    receipt: ReceiptTold


UserId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._@+|:/=~-]{0,189}$")]
RoleName = Annotated[str, Field(json_schema_extra={"enum": sorted(permissions().roles.keys() - {SYSTEMS_ROLE})})]
RoleState = Literal["proposed", "granted", "revoked"]


class NewUser(Shape):
    """Somebody to let in."""

    user: UserId
    password: Annotated[str, Field(min_length=15, max_length=256)] | None = None
    """Their password; without one they sign in at the identity provider."""
    because: Annotated[str, Field(max_length=500)] = ""
    """For the person who is asked to agree."""


class NamedUser(Shape):
    """Somebody."""

    user: UserId


class NamedRole(Shape):
    """A role of somebody."""

    user: UserId
    role: RoleName
    """A role of the table of permissions, but `los`, which is for systems."""


class RoleTold(Shape):
    """A role of a person, and how far its grant has come."""

    role: str
    state: RoleState
    proposed_by: str
    by: str
    """Who brought it to this state."""
    at: Instant


class UserShown(Shape):
    """Somebody who may sign in, or could."""

    user: str
    state: Literal["enabled", "disabled"]
    signs_in: Literal["here", "elsewhere"]
    created_at: Instant
    disabled_at: Instant | None


class UserTold(UserShown):
    """Somebody, with every role that was ever proposed for them."""

    seen_at: Instant | None
    """When they last signed in with a password."""
    roles: list[RoleTold]


class UsersTold(Shape):
    """Everybody, by user id."""

    users: list[UserTold]


class UserReviewed(UserTold):
    """Somebody, as a review of access sees them."""

    may: list[str]
    """Their permissions, and how far each goes."""
    concerns: list[str]
    """What somebody should look at."""


class AccessTold(Shape):
    """Who may do what."""

    users: list[UserReviewed]


class UserChanged(UserShown):
    """Somebody, after something was done."""

    receipt: ReceiptTold


class RoleChanged(RoleTold):
    """A role of somebody, after something was done."""

    user: str
    receipt: ReceiptTold


class ProposalTold(Shape):
    """An act that takes two people: one proposed it, another agrees."""

    proposal_id: UUID
    state: Literal["proposed", "agreed", "withdrawn", "expired"]
    act: str
    """What is to be done, as the audit log will call it."""
    said: dict[str, Any]
    """What exactly; it tells of nobody who applied."""
    because: str
    """Why it was proposed; of a withdrawal, why it was taken back."""
    proposed_by: str
    expires_at: Instant
    agreed_by: str | None


class ProposalListed(ProposalTold):
    """A proposal, and how far it came."""

    withdrawn_because: str | None


class ProposalsTold(Shape):
    """What waits for a second person, and what ended undone of late."""

    proposals: list[ProposalListed]


class ProposalMade(ProposalTold):
    """A step of a proposal, recorded."""

    receipt: ReceiptTold


class Withdrawal(Shape):
    """Why a proposal is taken back."""

    because: Annotated[str, Field(min_length=1, max_length=500)]


class NewProfile(Shape):
    """A compliance profile, and why."""

    profile: dict[str, Any]
    """The profile, as its file."""
    because: Annotated[str, Field(min_length=1, max_length=500)]
    """Why it is to change."""


class ProfileChangeTold(Shape):
    """A step of a change of the profile."""

    change_id: UUID
    step: Literal["proposed", "approved"]
    profile_sha256: Sha256
    replaces_sha256: Sha256
    because: str
    by: str
    at: Instant


class ProfileChangesTold(Shape):
    """The profile in force, and every step of every change, the newest first."""

    profile_sha256: Sha256
    in_force: bool
    """Whether it is: otherwise nothing is decided."""
    changes: list[ProfileChangeTold]


class ProfileProposed(ProfileChangeTold):
    """A proposal, recorded."""

    receipt: ReceiptTold


class ProfileApproved(ProfileProposed):
    """An approval, recorded."""

    release: Annotated[int, Field(ge=1)]
    """The number of the release that is in force from now on."""


class ReleaseTold(Shape):
    """What is in force."""

    release: int
    """Its number."""
    card: str
    """The name of the card."""
    profile: str
    """The name and version of the compliance profile."""
    card_sha256: Sha256
    policy_sha256: Sha256
    profile_sha256: Sha256
    code: str
    """The version of the service."""


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


class ReadinessTold(Shape):
    """Whether the service can decide, and what it stands on."""

    status: Literal["ready", "degraded", "not ready", "draining"]
    dependencies: dict[str, Literal["up", "down"]]


class LivenessTold(Shape):
    """That the process answers."""

    status: Literal["live"]


JsonObject = dict[str, Any]
