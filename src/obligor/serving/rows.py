"""What is kept beside an act, to be found again: a row for each matter that acts are of.

A row that is made anew for every decision is a ``msgspec.Struct``, as in :mod:`obligor.serving.acts`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime  # noqa: TC003  msgspec reads the annotation
from typing import TYPE_CHECKING, Final, Literal
from uuid import UUID  # noqa: TC003  so too

import msgspec

if TYPE_CHECKING:
    from obligor.screening.lists import ListKind


class DecisionRow(msgspec.Struct, frozen=True):
    """What a decision is searched by."""

    decision_id: UUID
    client_id: str
    application_id: str | None
    decided_at: datetime
    outcome: str
    band: str
    score: int
    """In thousandths."""
    subject: bytes | None = None
    """Whom it is about, by a name that tells nothing; None where its record is in the clear."""


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What became of a loan, as the client reported it."""

    report_id: UUID
    decision_id: UUID
    status: str
    observed_on: date


@dataclass(frozen=True, slots=True)
class ArtefactRow:
    """The bytes of a card, a policy or a profile, kept by the hash of what they say."""

    sha256: str
    kind: str
    body: bytes


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A card, a policy and a profile put in force together; the statement is what was signed."""

    number: int
    card_sha256: str
    policy_sha256: str
    profile_sha256: str
    at: datetime
    by: str
    statement: bytes
    signature: bytes
    artefacts: tuple[ArtefactRow, ...]
    leaf_index: int | None = None
    """Of the act that put it in force, where its row is put back; None where this act does."""


@dataclass(frozen=True, slots=True)
class ApiKeyRow:
    """An API key as it is kept: a key id that is there already is replaced."""

    key_id: str
    client_id: str
    name: str
    scopes: tuple[str, ...]
    secret_sha256: bytes
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    replaced_by: str | None = None
    """The key that took its place; once there is one, it stays."""
    networks: tuple[str, ...] = ()
    """From where alone it opens anything."""


# What takes two people


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """A step of an act that takes two people: one proposed it, another agreed, and the first did it, or took it back."""

    proposal_id: str
    step: Literal["proposed", "agreed", "done", "withdrawn"]
    kind: str
    """Of the act, as its leaf will say."""
    said: str
    """What exactly is to be done, as JSON; it tells of nobody who applied."""
    because: str
    proposed_by: str
    expires_at: datetime
    at: datetime
    by: str


# People


@dataclass(frozen=True, slots=True)
class UserRow:
    """A person as they are kept: a user id that is there already is replaced."""

    user_id: str
    password: str
    """The hash of a password (argon2id, in PHC form); empty where the person signs in elsewhere."""
    created_at: datetime
    disabled_at: datetime | None


@dataclass(frozen=True, slots=True)
class UserRoleRow:
    """A role of a person, and how far its grant has come: what is there already is replaced."""

    user_id: str
    role: str
    state: Literal["proposed", "granted", "revoked"]
    proposed_by: str
    by: str
    """Who brought it to this state."""
    at: datetime
    beside: tuple[str, ...] | None = None
    """The other roles, proposed or granted, that were seen of the person; where they have others by now, or were disabled,
    this one is refused. None where they do not matter."""


@dataclass(frozen=True, slots=True)
class SignInRow:
    """A person signed in with a password."""

    user_id: str
    at: datetime


PeopleRow = UserRow | UserRoleRow | SignInRow


@dataclass(frozen=True, slots=True)
class ProfileChangeRow:
    """A step of a change of the compliance profile: it was proposed, or approved."""

    change_id: str
    step: Literal["proposed", "approved"]
    profile_sha256: str
    replaces_sha256: str
    """The profile that was in force."""
    because: str
    at: datetime
    by: str
    artefacts: tuple[ArtefactRow, ...] = ()


class OutboxRow(msgspec.Struct, frozen=True):
    """What a client is told of an act, once the act is durable; its place among those of its application comes with it."""

    event_id: UUID
    client_id: str
    application_id: str | None
    type: str
    payload: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """Where a client is told of events, as it is kept: an endpoint that is there already is replaced."""

    endpoint_id: str
    client_id: str
    url: str = field(repr=False)
    """It may hold a token of the receiver."""
    event_types: tuple[str, ...]
    state: Literal["active", "disabled", "gone"]
    """Disabled by a person, for ever; or gone, since the receiver answered 410, until a person enables it again."""
    secret: bytes = field(repr=False)
    previous_secret: bytes | None = field(repr=False)
    """What it signs with as well, until the receiver knows the new one."""
    previous_until: datetime | None
    created_at: datetime


# Reviews


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """A request for a review; what the applicant wrote is in its record alone."""

    review_id: UUID
    decision_id: UUID
    client_id: str
    requested_at: datetime
    due_at: datetime
    pack: str


@dataclass(frozen=True, slots=True)
class ReviewDecisionRow:
    """What came of a review."""

    review_id: UUID
    verdict: str
    outcome: str
    decided_at: datetime
    by: str
    new_decision_id: UUID | None


@dataclass(frozen=True, slots=True)
class OverrideRow:
    """A person's decision in place of another, once for each."""

    decision_id: UUID
    """Of the decision that it overrides."""
    client_id: str
    outcome: str
    direction: str
    reason: str
    """One of the codes of the policy."""
    role: str
    """By whose limit: of the person, or of who agreed."""
    decided_at: datetime
    by: str
    agreed_by: str | None
    expires_at: datetime | None
    """The instant from which nothing is paid out by it; None of one that declines."""


ActionStep = Literal["offered", "accepted", "not_accepted", "incomplete"]


@dataclass(frozen=True, slots=True)
class ActionRow:
    """What a lender did beside a decision, once for each step; what was offered, or is missing, is in its record alone."""

    decision_id: UUID
    step: ActionStep
    client_id: str
    done_on: date
    until: date | None
    """Until when the applicant may take the offer, or bring what is missing."""
    at: datetime
    by: str


# Screening


@dataclass(frozen=True, slots=True)
class ListRow:
    """A list of names that was loaded, to be screened against."""

    list_sha256: str
    source: str
    published: date
    entries: int
    loaded_at: datetime
    by: str
    list_kind: ListKind = "sanctions"


@dataclass(frozen=True, slots=True)
class AlertRow:
    """Somebody who applied is alike enough to an entry of a list."""

    alert_id: UUID
    decision_id: UUID
    client_id: str
    subject: bytes
    """Who it is, as ``aml.Subjects`` names them."""
    entry: str
    entry_sha256: str
    """The hash of what the list says of the entry."""
    score: int
    """In ten-thousandths."""
    list_sha256: str
    opened_at: datetime


Finding = Literal["somebody_else", "due_diligence"]
"""That who applied is not the exposed person; or that they are, and somebody looked more closely."""


@dataclass(frozen=True, slots=True)
class AlertStepRow:
    """Somebody cleared an alert, or proposed to; or confirmed it, doubted that, or corrected it; or examined the person."""

    alert_id: UUID
    step: Literal["proposed", "cleared", "confirmed", "doubted", "corrected", "examined"]
    because: str
    until: datetime | None
    """The instant from which the hit counts again; a confirmation has no end."""
    at: datetime
    by: str
    finding: Finding | None = None
    """What clearing a politically exposed person rests on; a step of sanctions, and one of before, does not say it."""


@dataclass(frozen=True, slots=True)
class AlertReportRow:
    """Somebody reported a confirmed match to OFAC, or amends what was said of that."""

    alert_id: UUID
    number: int
    """Among the reports of the match; the last one counts."""
    reference: str
    """By which the report is found; it names nobody."""
    reported_on: date
    because: str | None
    """Why it amends the report before."""
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class YearlyReportRow:
    """Somebody reported to OFAC what was blocked on 30 June of a year, or amends what was said of that."""

    year: int
    number: int
    """Among the reports of the year; the last one counts."""
    reference: str
    reported_on: date
    alerts: tuple[str, ...]
    """The ids of the alerts whose matches it named."""
    because: str | None
    """Why it amends the report before."""
    at: datetime
    by: str


# Keys of subjects


class SubjectKeyRow(msgspec.Struct, frozen=True):
    """The key of a subject, wrapped; one that is there already stays as it is."""

    key_id: bytes
    subject: bytes
    version: int
    """Of the key that wraps it; one that was retired is refused."""
    wrapped: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ErasedRow:
    """A subject whose keys are destroyed; refused while a hold stands, and where more was decided on them than was seen."""

    subject: bytes
    at: datetime
    decisions: int
    latest: datetime | None
    """When the last of them was made, by a policy or by a person in its place."""


RETAINED: Final = "legal obligation to retain"
"""What a hold stands for where its reason may not be told; an alert that nobody cleared is one of itself."""


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A legal hold on a subject: it may not be erased; one that is there already is replaced."""

    subject: bytes
    because: str
    placed_at: datetime
    by: str
    released_at: datetime | None
    replaces: str | None
    """What the hold stood for that was seen; where another stands by now, this one is refused."""


@dataclass(frozen=True, slots=True)
class KeyringRow:
    """A key of the deployment, wrapped by the KMS; without ``wrapped`` it is retired, which is refused while it is needed."""

    purpose: str
    version: int
    wrapped: bytes | None
    proof: bytes
    created_at: datetime
    retired_at: datetime | None = None


PrivacyRow = SubjectKeyRow | ErasedRow | HoldRow | KeyringRow

Row = (
    DecisionRow
    | OutcomeRow
    | ArtefactRow
    | ReleaseRow
    | ApiKeyRow
    | ProposalRow
    | PeopleRow
    | ProfileChangeRow
    | OutboxRow
    | WebhookRow
    | ReviewRow
    | ReviewDecisionRow
    | OverrideRow
    | ActionRow
    | ListRow
    | AlertRow
    | AlertStepRow
    | AlertReportRow
    | YearlyReportRow
    | PrivacyRow
)
