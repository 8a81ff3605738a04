"""What the decision service asks of the place that keeps its acts.

An act is anything that is recorded: a decision, a reported outcome, a release, an API key. Its leaf in the audit log and its
record become durable together, or not at all, and nobody is answered before. What is made anew for every decision is a
``msgspec.Struct``, which is made in a tenth of the time of a frozen dataclass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import msgspec

from obligor.core.leaves import actor

if TYPE_CHECKING:
    from asyncio import Future
    from collections.abc import Callable
    from datetime import datetime

    from obligor.security.networks import Networks
    from obligor.security.tokens import Bound
    from obligor.serving.rows import Row


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever was let in: a client with an API key, or a person, or a system, with a token."""

    client_id: str
    """Whose decisions and idempotency keys are their own; of a person ``person:<user id>``, which no client is called."""
    key_id: str
    """The API key; empty with a token."""
    scopes: frozenset[str]
    expires_at: datetime
    kind: Literal["client", "person"] = "client"
    roles: frozenset[str] = frozenset()
    subject: str = ""
    """The user id of a person."""
    strong: bool = False
    """Whether a second factor was shown."""
    bound: Bound | Networks | None = None
    """The key to which their token is bound, or the networks to which their API key is."""

    @property
    def by(self) -> str:
        """Who acts, as in a leaf: ``client:<id>`` or ``person:<user id>``."""
        return actor(self.client_id)


class Act(msgspec.Struct, frozen=True):
    """One thing to record."""

    kind: str
    """As in the leaf: decision, outcome, release, key.created, key.revoked, key.rotated, export, profile.proposed,
    profile.approved, act.proposed, act.agreed, act.done, act.withdrawn,
    list.loaded, alert.opened, alert.proposed, alert.cleared, alert.confirmed, alert.doubted, alert.corrected, alert.examined,
    alert.reported, alert.reported.yearly, erased, erasure.told, hold.placed, hold.released, revealed, datakey.created,
    datakey.retired, seal.broken, notice.written, offer.made, offer.answered, application.incomplete,
    restore.proposed, restore.acknowledged, and more."""
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


class PromptRecorder(Recorder, Protocol):
    """A recorder that need not be awaited by a task."""

    def submit(self, submission: Submission) -> Future[Recorded]:
        """Begin to record acts; the future is done once they are durable, and fails as ``record`` does.

        Raises
        ------
        InFlightError, UnavailableError
            As ``record``, where it is known at once.
        """
        ...

    def drop(self, recorded: Future[Recorded]) -> None:
        """Record no more what was submitted, for which nobody waits; where recording has begun, it goes on."""
        ...

    def expect(self, come: Callable[[], None]) -> None:
        """Call ``come``, which is to submit, soon: with others that are expected, before the next commit is begun.

        It raises nothing: what is wrong is its own affair.
        """
        ...
