"""Finds reviews: who asked, by when, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.core.event_types import HELD_LATE, REVIEW_LATE
from obligor.serving.reviews.lateness import CLOCK
from obligor.serving.reviews.review import Held, HeldSince, StoredReview

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from obligor.adapters.store.pool import Pool

_TOLD_LATE: Final = f"""
    SELECT at FROM obligor.request WHERE client_id = '{CLOCK}' AND route = '{{what}}' AND key = {{about}}::text
"""  # noqa: S608  words of our own
_REVIEW: Final = f"""
    SELECT review_id, decision_id, client_id, requested_at, due_at, pack, verdict, outcome, decided_at, by, new_decision_id,
        ({_TOLD_LATE.format(what=REVIEW_LATE, about="review.review_id")}) AS told_late_at
    FROM obligor.review LEFT JOIN obligor.review_decision USING (review_id)
"""  # noqa: S608  words of our own
_OF: Final = "review_id = ANY (ARRAY(SELECT review_id FROM obligor.review WHERE decision_id = %s))"
"""Which they are is found first: otherwise the planner may read all that came of any review."""
_OPEN: Final = f"""
    {_REVIEW} WHERE review_id = ANY (ARRAY(SELECT review_id FROM obligor.review WHERE NOT closed)) AND verdict IS NULL
    ORDER BY due_at, review.leaf_index
"""  # noqa: S608  words of our own
_REQUEST: Final = "SELECT body FROM obligor.review JOIN obligor.record USING (leaf_index) WHERE review_id = %s"
_DECISION: Final = (
    "SELECT body FROM obligor.review_decision JOIN obligor.record USING (leaf_index) WHERE review_id = %s"
)
_HOLD: Final = """
    SELECT decision_id, leaf_index, client_id, application_id, decided_at, subject,
        (client_id, coalesce(application_id, decision_id::text)) AS name
    FROM obligor.decision WHERE outcome = 'hold'
"""
_HELD: Final = f"""
    WITH hold AS (
        {_HOLD} AND leaf_index = ANY (%(leaves)s::bigint[])
        UNION ALL ({_HOLD} AND leaf_index >= %(next)s ORDER BY leaf_index LIMIT 10000)
    )
    SELECT count(DISTINCT name) AS count, count(DISTINCT name) FILTER (WHERE decided_at < %(before)s) AS late,
        min(decided_at) AS since, coalesce(array_agg(leaf_index ORDER BY leaf_index), '{{}}') AS leaves,
        greatest((SELECT max(leaf_index) + 1 FROM hold), %(next)s) AS next
    FROM hold
    WHERE (
        SELECT true FROM obligor.decision AS later
        WHERE later.application_id = hold.application_id AND later.leaf_index > hold.leaf_index
            AND later.client_id = hold.client_id AND later.outcome <> 'hold' LIMIT 1
    ) IS NULL AND (
        SELECT true FROM obligor.review JOIN obligor.review_decision USING (review_id)
        WHERE review.decision_id = hold.decision_id AND review_decision.outcome <> 'hold' LIMIT 1
    ) IS NULL AND (
        SELECT true FROM obligor.erasure WHERE erasure.subject = hold.subject AND erasure.at >= decided_at
    ) IS NULL
"""  # noqa: S608  words of our own
"""What ended a hold is not undone, so that one that is over is not looked at again."""
_HELD_LATE: Final = f"""
    SELECT decision_id, decided_at FROM (
        SELECT DISTINCT ON (name) * FROM ({_HOLD} AND leaf_index = ANY (%(leaves)s::bigint[])) AS hold ORDER BY name, leaf_index
    ) AS first
    WHERE decided_at < %(before)s AND ({_TOLD_LATE.format(what=HELD_LATE, about="decision_id")}) IS NULL
    ORDER BY leaf_index LIMIT 1000
"""  # noqa: S608  words of our own
_TOOK_PART: Final = """
    SELECT by FROM obligor.release WHERE number = %(release)s
    UNION SELECT unnest(ARRAY[by, agreed_by]) FROM obligor.override WHERE decision_id = %(decision)s
"""


class PostgresReviews:
    """Fulfils :class:`obligor.serving.reviews.review.ReviewArchive`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def review(self, review_id: UUID) -> StoredReview | None:
        """Find a review."""
        found = await self._found(f"{_REVIEW} WHERE review_id = %s", review_id)
        return found[0] if found else None

    async def reviews_of(self, decision_id: UUID) -> tuple[StoredReview, ...]:
        """Give the reviews of a decision, in the order of the log."""
        return await self._found(f"{_REVIEW} WHERE {_OF} ORDER BY review.leaf_index", decision_id)

    async def open_reviews(self) -> tuple[StoredReview, ...]:
        """Give the reviews that wait for an answer, the one that is due first first."""
        return await self._found(_OPEN)

    async def request_of(self, review_id: UUID) -> bytes | None:
        """Give the record of the request for a review: what the applicant wrote."""
        return await self._record(_REQUEST, review_id)

    async def decision_of(self, review_id: UUID) -> bytes | None:
        """Give the record of what came of a review."""
        return await self._record(_DECISION, review_id)

    async def held(self, known: Held, *, before: datetime) -> Held:
        """Count those that are held still, with the next ones in the log, and of them those held since before a time."""
        asked = {"before": before, "leaves": list(known.leaves), "next": known.next}
        (row,) = await self._pool.rows(_HELD, asked)
        return Held(**row)

    async def held_late(self, held: Held, *, before: datetime) -> tuple[HeldSince, ...]:
        """Give those that are held since before a time and were not told late, each by the first decision that holds it."""
        asked = {"before": before, "leaves": list(held.leaves)}
        return tuple(HeldSince(**row) for row in await self._pool.rows(_HELD_LATE, asked))

    async def took_part(self, decision_id: UUID, *, release: int) -> tuple[str, ...]:
        """Name the people who put the release of a decision in force, overrode it, and agreed to that."""
        found = await self._pool.rows(_TOOK_PART, {"decision": decision_id, "release": release})
        return tuple(it["by"] for it in found if it["by"])

    async def _found(self, query: str, *parameters: object) -> tuple[StoredReview, ...]:
        return tuple(StoredReview(**row) for row in await self._pool.rows(query, parameters))

    async def _record(self, query: str, review_id: UUID) -> bytes | None:
        found = await self._pool.rows(query, (review_id,))
        return bytes(found[0]["body"]) if found else None
