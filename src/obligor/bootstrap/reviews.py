"""Lists and decides reviews from the command line."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from obligor.bootstrap.acting import acting, caller_acting
from obligor.bootstrap.anchors import with_anchored_store
from obligor.bootstrap.law import active_packs
from obligor.bootstrap.store import service_settings, with_store
from obligor.core.errors import InvalidInputError
from obligor.security.permissions import allow

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from obligor.bootstrap.decisions import Decisions
    from obligor.bootstrap.store import Store
    from obligor.serving.reviews.review import StoredReview, Verdict
    from obligor.serving.reviews.reviewing import ReviewService
    from obligor.serving.webhooks.events import Listeners


@dataclass(frozen=True, slots=True)
class Waiting:
    """Reviews that wait for an answer, as they are at an instant."""

    reviews: tuple[StoredReview, ...]
    at: datetime

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        from obligor.serving.reviews.review import plain

        return {"reviews": [plain(it, self.at) for it in self.reviews]}

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        if not self.reviews:
            return ["No review waits for an answer."]
        return [
            f"{it.review_id}  of decision {it.decision_id}  due {(it.due_at - timedelta(days=1)).date()}"
            f"{f' by {it.pack}' if it.pack else ''}{'  LATE' if it.late(self.at) else ''}"
            for it in self.reviews
        ]


@dataclass(frozen=True, slots=True)
class Decided:
    """What came of a review."""

    review_id: UUID
    verdict: Verdict
    outcome: str
    new_decision_id: UUID | None

    def to_plain(self) -> dict[str, Any]:
        """Give plain data for ``--json``."""
        again = None if self.new_decision_id is None else str(self.new_decision_id)
        return {
            "review_id": str(self.review_id),
            "verdict": self.verdict,
            "outcome": self.outcome,
            "new_decision_id": again,
        }

    def lines(self) -> list[str]:
        """Say it in lines for a person."""
        again = "" if self.new_decision_id is None else f", by decision {self.new_decision_id}"
        return [f"review {self.review_id}: {self.verdict}, the outcome is {self.outcome}{again}"]


def list_reviews() -> Waiting:
    """Give the reviews that wait for an answer, the one that is due first first; of who may see their own, those alone."""

    async def listed(store: Store) -> Waiting:
        caller = await caller_acting(store, "review.read")
        own, found = allow(caller, "review.read").own, await store.reviews.open_reviews()
        return Waiting(tuple(it for it in found if not own or it.client_id == caller.client_id), store.sources.now())

    return with_store(listed)


def decide_review(review_id: str, *, outcome: str | None, factors: Sequence[str]) -> Decided:
    """Record what a person found of a review; without an outcome the corrected application is decided again."""
    try:
        wanted = UUID(review_id)
    except ValueError:
        raise InvalidInputError("REVIEW_ID: wanted the id of a review", hint="obligor reviews list") from None
    settings = service_settings()

    async def decided(store: Store) -> Decided:
        from obligor.bootstrap.decisions import open_decisions
        from obligor.bootstrap.webhooks import open_listeners
        from obligor.serving.reviews.review import Finding

        async with open_decisions(store, settings) as decisions:
            service = open_review_service(store, decisions, listeners=await open_listeners(store.url))
            by = await acting(store, "review.decide")
            finding = Finding(outcome, tuple(factors))  # type: ignore[arg-type]  # of the command's choices
            found = await service.decide(wanted, finding, by=by)
            return Decided(found.review_id, found.verdict or "kept", found.outcome or "", found.new_decision_id)

    return with_anchored_store(decided, settings)


def open_review_service(store: Store, decisions: Decisions, *, listeners: Listeners) -> ReviewService:
    """Build the use case of reviews under the rule packs that are active.

    Raises
    ------
    LawError, GateError
        Where a pack may not be active.
    """
    from obligor.serving.reviews.reviewing import ReviewService

    return ReviewService(
        decisions=decisions.service,
        register=decisions.register,
        archive=store.archive,
        reviews=store.reviews,
        recorder=store.recorder,
        sources=store.sources,
        packs=active_packs(os.environ),
        listeners=listeners,
    )
