"""What the decision service asks of the place where what was recorded is found again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.last_word import LastWord
    from obligor.serving.rows import OutcomeRow, ReleaseRow


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

    @property
    def row(self) -> UUID:
        """The id that what is sealed of it is bound to."""
        return self.decision_id


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """What was said of a decision as it is kept: asked of it, found or reported."""

    decision_id: UUID
    row: UUID
    """The id that what is sealed of it is bound to."""
    leaf_index: int
    leaf: bytes
    record: bytes
    salt: bytes


Stored = StoredDecision | StoredRecord


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
    stands: str | None = None
    """The outcome that stands: what a person last said of it, or its own where nobody did."""
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


@dataclass(frozen=True, slots=True)
class ToldRelease:
    """What the log tells of a release, whether or not its row is kept."""

    leaf_index: int
    leaf: bytes
    record: bytes | None
    salt: bytes
    kept: ReleaseRow | None
    """Its row, without what it puts in force."""


@dataclass(frozen=True, slots=True)
class Link:
    """Another decision of the same client that belongs together with one."""

    decision_id: UUID
    why: str
    earlier: bool
    """Whether the other one was decided on before."""
    at: datetime
    """When they were linked."""


@dataclass(frozen=True, slots=True)
class Links:
    """What a decision belongs together with."""

    compared: bool
    """Whether it was compared with earlier ones by now; later ones may yet be linked to it."""
    links: tuple[Link, ...]


class Archive(Protocol):
    """Where what was recorded is found again."""

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision; one of another client is not found where a client is named."""
        ...

    async def search(self, search: Search) -> tuple[StoredDecision, ...]:
        """Find decisions, the newest first."""
        ...

    async def outcomes(self, decision_id: UUID, *, client_id: str | None = None) -> tuple[OutcomeRow, ...]:
        """Give what was reported of a decision, in the order of the log; of another client's nothing."""
        ...

    async def last_words(self, decision_ids: Sequence[UUID]) -> Mapping[UUID, LastWord]:
        """Give what people last said of decisions, of those of which anybody did."""
        ...

    async def links(self, stored: StoredDecision) -> Links:
        """Give what a decision was linked to, the newest first."""
        ...

    async def artefact(self, sha256: str) -> bytes | None:
        """Give the bytes of a card, a policy or a profile; their hash was checked."""
        ...

    async def release(self) -> StoredRelease | None:
        """Give the newest release."""
        ...
