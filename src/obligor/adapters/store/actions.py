"""Finds what was done beside decisions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from uuid import UUID  # noqa: TC003  msgspec reads the annotation

import msgspec

from obligor.adapters.store.times import SINCE
from obligor.serving.actions.action import Followed
from obligor.serving.rows import ActionRow

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.adapters.store.pool import Pool
    from obligor.serving.rows import ActionStep

_OF: Final = """
    SELECT decision_id, step, client_id, done_on, until, at, by FROM obligor.action WHERE decision_id = %s ORDER BY leaf_index
"""
_RECORD: Final = """
    SELECT body FROM obligor.action JOIN obligor.record USING (leaf_index) WHERE decision_id = %s AND step = %s
"""
_FOLLOWED: Final = f"""
    SELECT decision_id, leaf_index, decided_at, outcome, outcomes, times, offered_on, accepted,
        coalesce(incomplete, false) AS incomplete
    FROM obligor.decision
    CROSS JOIN LATERAL (
        SELECT array_agg(said.outcome ORDER BY at) AS outcomes, array_agg(at ORDER BY at) AS times,
            bool_or(new_decision_id IS NOT NULL) AS again
        FROM (
            SELECT outcome, decided_at AS at, NULL::uuid AS new_decision_id
            FROM obligor.override WHERE override.decision_id = decision.decision_id
            UNION ALL
            SELECT review_decision.outcome, decided_at, new_decision_id FROM (
                SELECT review_id FROM obligor.review WHERE review.decision_id = decision.decision_id OFFSET 0
            ) AS review JOIN obligor.review_decision USING (review_id)
        ) AS said
    ) AS said
    CROSS JOIN LATERAL (
        SELECT max(done_on) FILTER (WHERE step = 'offered') AS offered_on,
            bool_or(step = 'accepted') FILTER (WHERE step IN ('accepted', 'not_accepted')) AS accepted,
            bool_or(step = 'incomplete') AS incomplete
        FROM obligor.action WHERE action.decision_id = decision.decision_id
    ) AS done
    WHERE {SINCE} AND (%(client)s::text IS NULL OR client_id = %(client)s)
        AND (outcome = 'decline' OR outcomes IS NOT NULL OR incomplete) AND again IS NOT true
        AND (outcome = 'decline' OR outcomes IS NOT NULL OR (
            SELECT true FROM obligor.decision AS later
            WHERE later.application_id = decision.application_id AND later.leaf_index > decision.leaf_index
                AND later.client_id = decision.client_id LIMIT 1
        ) IS NULL)
        AND (
            SELECT true FROM obligor.erasure WHERE erasure.subject = decision.subject AND erasure.at >= decided_at
        ) IS NULL
    ORDER BY leaf_index
"""  # noqa: S608  words of our own
"""What was decided again has its notices there; so has an incomplete application that came once more. Of who was erased no
notice can be written."""
_WRITTEN: Final = """
    SELECT record.body FROM obligor.record JOIN obligor.leaf ON index = leaf_index
    WHERE leaf_index > %s AND index > %s AND kind = 'notice.written'
"""


class _Notice(msgspec.Struct):
    decision_id: UUID
    template: str


class PostgresActions:
    """Fulfils :class:`obligor.serving.actions.action.ActionArchive`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def actions_of(self, decision_id: UUID) -> tuple[ActionRow, ...]:
        """Find what was done beside a decision, in the order of the log."""
        return tuple(ActionRow(**it) for it in await self._pool.rows(_OF, (decision_id,)))

    async def action_record(self, decision_id: UUID, step: ActionStep) -> bytes | None:
        """Give the record of an action: what was offered, or is missing."""
        found = await self._pool.rows(_RECORD, (decision_id, step))
        return bytes(found[0]["body"]) if found else None

    async def followed(self, *, since: datetime, client_id: str | None) -> tuple[Followed, ...]:
        """Find the decisions since a time that may have notices, of one client where one is named."""
        found = await self._pool.rows(_FOLLOWED, {"since": since, "client": client_id})
        return tuple(
            Followed(words=tuple(zip(outcomes or (), times or (), strict=True)), **it)
            for it, outcomes, times in ((it, it.pop("outcomes"), it.pop("times")) for it in found)
        )

    async def written(self, after: int) -> dict[UUID, set[str]]:
        """Give the templates by which notices were written of each decision, as the leaves after one tell."""
        found: dict[UUID, set[str]] = {}
        for it in await self._pool.rows(_WRITTEN, (after, after)):
            notice = msgspec.json.decode(it["body"], type=_Notice)
            found.setdefault(notice.decision_id, set()).add(notice.template)
        return found
