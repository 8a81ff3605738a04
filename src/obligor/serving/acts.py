"""What the decision service asks of the place that keeps its acts.

An act is anything that is recorded: a decision, a reported outcome, a release, an API key. Its leaf in the audit log and its
record become durable together, or not at all, and nobody is answered before. What is made anew for every decision is a
``msgspec.Struct``, which is made in a tenth of the time of a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime
    from uuid import UUID


@dataclass(frozen=True, slots=True)
class Caller:
    """A client whose API key was checked."""

    client_id: str
    key_id: str
    scopes: frozenset[str]
    expires_at: datetime


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
    """A subject whose keys are destroyed; refused while a hold stands."""

    subject: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class HoldRow:
    """A legal hold on a subject: it may not be erased; one that is there already is replaced."""

    subject: bytes
    because: str
    placed_at: datetime
    by: str
    released_at: datetime | None


@dataclass(frozen=True, slots=True)
class KeyringRow:
    """A key of the deployment, wrapped by the KMS; without ``wrapped`` it is retired, which is refused while it is needed."""

    purpose: str
    version: int
    wrapped: bytes | None
    proof: bytes
    created_at: datetime
    retired_at: datetime | None = None


Row = DecisionRow | OutcomeRow | ReleaseRow | ApiKeyRow | SubjectKeyRow | ErasedRow | HoldRow | KeyringRow


class Act(msgspec.Struct, frozen=True):
    """One thing to record."""

    kind: str
    """As in the leaf: decision, outcome, release, key.created, key.revoked, key.rotated, export."""
    at: datetime
    by: str
    """``client:<id>`` or ``person:<name>``."""
    subject: str
    """The id of what it is about."""
    record: bytes
    """All of it, as JSON; private."""
    salt: bytes
    """Sixteen random bytes: the leaf commits to the record with them."""
    rows: tuple[Row, ...] = ()
    """What is kept beside it, to be found again."""


class Request(msgspec.Struct, frozen=True):
    """What binds an idempotency key to one request."""

    client_id: str
    route: str
    key: str
    payload_sha256: bytes


class Submission(msgspec.Struct, frozen=True):
    """Acts to record together, for a request where there is one, and how to answer it."""

    acts: tuple[Act, ...]
    respond: Callable[[int], bytes]
    """Gives the answer from the index of the first act's leaf; the others follow it."""
    request: Request | None = None
    status: int = 200


class Recorded(msgspec.Struct, frozen=True):
    """The answer of a request whose acts are durable."""

    response: bytes
    status: int
    replayed: bool
    """Whether they were before: the answer is the stored one, byte for byte."""
    leaf_index: int
    """The index of the first act's leaf."""


class Recorder(Protocol):
    """The one door through which acts are recorded."""

    async def record(self, submission: Submission) -> Recorded:
        """Record acts; return once they are durable.

        Raises
        ------
        KeyReusedError
            Where the client used the idempotency key for another payload.
        InFlightError
            Where the same request is being recorded.
        UnavailableError
            Where the store is down, full or slow, or too many wait. Nothing was recorded, unless the answer of the store was
            lost; the same request sent again finds out.
        """
        ...


@dataclass(frozen=True, slots=True)
class StoredDecision:
    """A decision as it is kept."""

    decision_id: UUID
    client_id: str
    leaf_index: int
    leaf: bytes
    """The body of its leaf."""
    record: bytes
    salt: bytes


@dataclass(frozen=True, slots=True)
class StoredSubjectKey:
    """The key of a subject as it is kept; without ``version`` and ``wrapped`` where it was destroyed."""

    key_id: bytes
    subject: bytes
    version: int | None
    wrapped: bytes | None


@dataclass(frozen=True, slots=True)
class Search:
    """Which decisions are looked for; newest first."""

    client_id: str | None = None
    """None: of every client."""
    application_id: str | None = None
    application_tag: str | None = None
    """The same under the name that sealed records are searched by; either is found."""
    outcome: str | None = None
    band: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    before: int | None = None
    """Only those whose leaf has a lower index: the cursor."""
    limit: int = 50


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """The newest release, as it is kept."""

    number: int
    statement: bytes
    signature: bytes
    card: bytes
    policy: bytes
    profile: bytes


class Archive(Protocol):
    """Where what was recorded is found again."""

    async def decision(self, decision_id: UUID) -> StoredDecision | None:
        """Find a decision."""
        ...

    async def search(self, search: Search) -> tuple[StoredDecision, ...]:
        """Find decisions, the newest first."""
        ...

    async def outcomes(self, decision_id: UUID) -> tuple[OutcomeRow, ...]:
        """Give what was reported of a decision, in the order of the log."""
        ...

    async def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile; their hash was checked."""
        ...

    async def release(self) -> StoredRelease | None:
        """Give the newest release."""
        ...
