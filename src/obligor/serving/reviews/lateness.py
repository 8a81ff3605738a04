"""That an answer is late is an act of the service's own, recorded once, and told to the client's systems with it.

The idempotency key of the act is the id of what is late, under a client that nobody can be called: however many processes
look, and wherever one ends, the log has one leaf and the outbox one event.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from obligor.core.errors import IntegrityError
from obligor.core.event_types import HELD_LATE, REVIEW_LATE
from obligor.core.leaves import actor, time_text
from obligor.serving.acts import Act, Request, Submission
from obligor.serving.encoding import encode
from obligor.serving.webhooks.events import told_late

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from obligor.serving.acts import Recorder
    from obligor.serving.archive import StoredDecision
    from obligor.serving.reviews.review import HeldSince, StoredReview
    from obligor.serving.rows import Row
    from obligor.serving.sources import Sources
    from obligor.serving.webhooks.events import Listeners

CLOCK: Final = "obligor/clock"
"""Who records it; no client can be called so."""


class Decisions(Protocol):
    """Where decisions are found."""

    async def decision(self, decision_id: UUID, *, client_id: str | None = None) -> StoredDecision | None:
        """Find a decision, of one client where one is named."""
        ...


class Late(NamedTuple):
    """Something whose answer is late."""

    what: str
    """The kind of the act, which is the type of the event too."""
    about: UUID
    decision_id: UUID
    due_at: datetime
    """The instant from which it is late."""
    pack: str
    """The rule pack whose clock it is; empty: the lender's own."""
    names: dict[str, str]
    """By what else it is found."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """Records what is late; with the ``listeners`` of the service that decides."""

    archive: Decisions
    recorder: Recorder
    sources: Sources
    listeners: Listeners

    async def record(self, late: Late) -> bool:
        """Record that something is late, unless it was; tell whether it was not.

        Raises
        ------
        IntegrityError, InFlightError, UnavailableError
            Where its decision is not kept, somebody else records it just now, and as they say.
        """
        stored = await self.archive.decision(late.decision_id)
        if stored is None:
            raise IntegrityError("the decision of what is late is not kept")
        at = self.sources.now()
        said = late.names | {
            "decision_id": str(late.decision_id),
            "due_at": time_text(late.due_at),
            "pack": late.pack or None,
        }
        rows: tuple[Row, ...] = ()
        if self.listeners.want(stored.client_id, late.what):
            rows = (told_late(late.what, said, stored, event_id=self.sources.new_id(at), at=at),)
        kept = {"schema": f"obligor/{late.what.replace('.', '-')}/1", "client_id": stored.client_id, **said}
        act = Act(late.what, at, actor(CLOCK), str(late.about), encode(kept), self.sources.salt(), rows)
        once = Request(CLOCK, late.what, str(late.about), sha256(late.about.bytes).digest())
        return not (await self.recorder.record(Submission((act,), lambda _: b"", once))).replayed


def late_review(review: StoredReview) -> Late:
    """Give a review as something that is late."""
    named = {"review_id": str(review.review_id)}
    return Late(REVIEW_LATE, review.review_id, review.decision_id, review.due_at, review.pack, named)


def late_hold(held: HeldSince, *, due_at: datetime, pack: str) -> Late:
    """Give an application that is held as something that is late; it is known by the decision that holds it."""
    return Late(HELD_LATE, held.decision_id, held.decision_id, due_at, pack, {})
