"""Events that are over go: those that every endpoint took, or that were given up, so long ago.

The last event of an application stays as its place, without what it told: the next one counts from there. What was to be tried
so long ago, and was not, is given up first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from obligor.adapters.store.inserts import retained_since
from obligor.core.event_types import HELD_LATE, REVIEW_LATE
from obligor.serving.webhooks.pruning import Pruned

if TYPE_CHECKING:
    from datetime import datetime

    from obligor.adapters.store.pool import Pool

PRUNED_BEFORE: Final = "SELECT before FROM obligor.outbox_pruned"
_GIVE_UP: Final = """
    UPDATE obligor.delivery SET state = 'dead', claim = NULL, last_trouble = %(trouble)s, settled_at = %(at)s
    FROM (
        SELECT event_id, endpoint_id FROM obligor.webhook_endpoint CROSS JOIN LATERAL (
            SELECT event_id FROM obligor.delivery
            WHERE delivery.endpoint_id = webhook_endpoint.endpoint_id AND state = 'pending' AND next_at < %(before)s
            ORDER BY next_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
        ) AS waiting LIMIT %(most)s
    ) AS chosen
    WHERE delivery.event_id = chosen.event_id AND delivery.endpoint_id = chosen.endpoint_id
    RETURNING delivery.event_id
"""
_PRUNE: Final = f"""
    WITH noted AS (
        INSERT INTO obligor.outbox_pruned AS known (one, before) VALUES (true, %(before)s)
        ON CONFLICT (one) DO UPDATE SET before = excluded.before WHERE known.before < excluded.before
    ), seen AS (
        SELECT event_id, settled_at FROM obligor.delivery
        WHERE settled_at >= coalesce(%(after)s, '-infinity'::timestamptz) AND settled_at < %(before)s
        ORDER BY settled_at LIMIT %(most)s
    ), over AS (
        SELECT outbox.*, deliveries FROM (SELECT DISTINCT event_id FROM seen) AS it
        CROSS JOIN LATERAL (
            SELECT event_id, client_id, application_id, sequence, leaf_index, type, payload FROM obligor.outbox
            WHERE outbox.event_id = it.event_id AND created_at < %(before)s OFFSET 0
        ) AS outbox
        CROSS JOIN LATERAL (
            SELECT count(*) AS deliveries, count(*) FILTER (WHERE settled_at < %(before)s) AS settled
            FROM obligor.delivery WHERE delivery.event_id = it.event_id OFFSET 0
        ) AS all_of_it
        CROSS JOIN LATERAL (
            SELECT coalesce(
                (SELECT subject FROM obligor.decision WHERE decision.leaf_index = outbox.leaf_index),
                (SELECT subject FROM obligor.decision WHERE decision_id = (
                    SELECT decision_id FROM obligor.outcome WHERE outcome.leaf_index = outbox.leaf_index)),
                (SELECT subject FROM obligor.decision WHERE decision_id = (
                    SELECT decision_id FROM obligor.override WHERE override.leaf_index = outbox.leaf_index)),
                (SELECT subject FROM obligor.decision WHERE decision_id = (
                    SELECT decision_id FROM obligor.review WHERE review_id = (
                        SELECT review_id FROM obligor.review_decision
                        WHERE review_decision.leaf_index = outbox.leaf_index))),
                (SELECT subject FROM obligor.decision WHERE decision_id = CASE
                    WHEN outbox.type IN ('{REVIEW_LATE}', '{HELD_LATE}') AND outbox.payload <> ''
                    THEN (convert_from(outbox.payload, 'UTF8')::json ->> 'decision_id')::uuid END)
            ) AS subject OFFSET 0
        ) AS person
        WHERE settled = deliveries AND (
            SELECT released_at IS NULL FROM obligor.legal_hold WHERE legal_hold.subject = person.subject
        ) IS NOT TRUE AND ({retained_since("person.subject")}) IS NULL
    ), gone AS (
        DELETE FROM obligor.delivery WHERE event_id = ANY (ARRAY(SELECT event_id FROM over)) AND settled_at < %(before)s
        RETURNING event_id
    ), whole AS (
        SELECT * FROM over WHERE deliveries = (SELECT count(*) FROM gone WHERE gone.event_id = over.event_id)
    ), last AS (
        SELECT event_id FROM whole WHERE application_id IS NOT NULL AND (
            SELECT event_id FROM obligor.outbox AS later
            WHERE later.client_id = whole.client_id AND later.application_id = whole.application_id
                AND later.sequence > whole.sequence LIMIT 1
        ) IS NULL
    ), emptied AS (
        UPDATE obligor.outbox SET payload = '' WHERE event_id = ANY (ARRAY(SELECT event_id FROM last))
    ), removed AS (
        DELETE FROM obligor.outbox WHERE event_id = ANY (ARRAY(
            SELECT event_id FROM whole WHERE event_id NOT IN (SELECT event_id FROM last)
            UNION ALL
            SELECT place.event_id FROM whole CROSS JOIN LATERAL (
                SELECT event_id FROM obligor.outbox AS place
                WHERE place.client_id = whole.client_id AND place.application_id = whole.application_id
                    AND place.sequence < whole.sequence AND place.payload = '' OFFSET 0
            ) AS place
        ))
    )
    SELECT (SELECT count(*) FROM seen) AS seen, (SELECT max(settled_at) FROM seen) AS reached,
        (SELECT count(*) FROM whole) AS pruned
"""  # noqa: S608  words of our own
"""What somebody sends again meanwhile is not deleted as a delivery, and so its event stays (``whole``). What belongs to each
event is found one by one (``OFFSET 0``, ``ANY (ARRAY(``), whatever the planner knows of the tables: a decision under the leaf
of the event, or the one of which it tells an outcome, an override, a review, or that an answer is late."""


class PostgresPruning:
    """Fulfils :class:`obligor.serving.webhooks.pruning.Prunable`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def give_up(self, *, before: datetime, at: datetime, trouble: str, most: int) -> int:
        """Give up some of what was to be tried before a time and was not; give how many that is."""
        given = {"before": before, "at": at, "trouble": trouble, "most": most}
        return len(await self._pool.change(_GIVE_UP, given))

    async def prune(self, *, before: datetime, after: datetime | None, most: int) -> Pruned:
        """Prune some of the events that were settled before a time, those first that were settled first."""
        (row,) = await self._pool.change(_PRUNE, {"before": before, "after": after, "most": most})
        return Pruned(**row)

    async def pruned_before(self) -> datetime | None:
        """Tell up to when events were pruned; None: never."""
        found = await self._pool.rows(PRUNED_BEFORE)
        before: datetime | None = found[0]["before"] if found else None
        return before
