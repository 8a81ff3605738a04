"""How far events came on their way to the endpoints of clients.

A claim is a row's own: its ``next_at`` is moved to the end of the claim, so that nobody else finds it due. Who claims passes
over the rows that others are about to claim (``FOR UPDATE SKIP LOCKED``), and over those of an application whose earlier event
is still on its way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from obligor.adapters.store.times import reached
from obligor.serving.rows import WebhookRow
from obligor.serving.webhooks.delivering import Backlog, ClaimedEvent
from obligor.serving.webhooks.endpoints import DeadLetter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from obligor.adapters.store.pool import Pool

_ENDPOINTS: Final = """
    SELECT endpoint_id, client_id, url, event_types, state, secret, previous_secret, previous_until, created_at
    FROM obligor.webhook_endpoint
"""
_CLAIM: Final = """
    UPDATE obligor.delivery AS mine SET claim = %(claim)s, next_at = %(until)s, attempts = attempts + 1,
        tried_since = coalesce(tried_since, %(at)s)
    FROM (
        SELECT event_id FROM obligor.delivery AS due
        WHERE endpoint_id = %(endpoint)s AND state = 'pending' AND next_at <= %(at)s AND (
            sequence = 1 OR (
                SELECT event_id FROM obligor.delivery AS earlier
                WHERE earlier.application_id = due.application_id AND earlier.endpoint_id || '' = due.endpoint_id
                    AND earlier.sequence < due.sequence AND earlier.state = 'pending'
                LIMIT 1) IS NULL)
        ORDER BY next_at LIMIT %(most)s FOR UPDATE SKIP LOCKED
    ) AS chosen JOIN obligor.outbox USING (event_id)
    WHERE mine.event_id = chosen.event_id AND mine.endpoint_id = %(endpoint)s
    RETURNING mine.event_id, mine.endpoint_id, mine.application_id, mine.sequence, outbox.type, outbox.payload,
        outbox.created_at, mine.attempts, mine.tried_since, mine.claim
"""
"""Earlier events are looked for by their application alone (``|| ''``), and those that are settled by their id: before a new
table was first analysed, the planner took the index of what is due at the endpoint, or all of an index of what is pending
beside the id, and read the whole of a backlog for each row."""
_DELIVERED: Final = """
    UPDATE obligor.delivery SET state = 'delivered', last_status = %(status)s, last_trouble = NULL, settled_at = %(at)s
    WHERE event_id = ANY(%(events)s) AND endpoint_id || '' = %(endpoint)s AND state || '' = 'pending'
"""
_FAILED: Final = """
    UPDATE obligor.delivery SET claim = NULL, last_status = %(status)s, last_trouble = %(trouble)s, next_at = %(again)s
    WHERE event_id = %(event)s AND endpoint_id || '' = %(endpoint)s AND claim = %(claim)s
        AND state || '' = 'pending'
"""
_BEHIND: Final = """
    UPDATE obligor.delivery SET next_at = greatest(next_at, %(again)s)
    WHERE application_id = %(application)s AND endpoint_id || '' = %(endpoint)s AND sequence > %(sequence)s
        AND state = 'pending'
"""
_GIVEN_UP: Final = """
    UPDATE obligor.delivery
    SET state = 'dead', claim = NULL, last_status = %(status)s, last_trouble = %(trouble)s, settled_at = %(at)s
    WHERE event_id = %(event)s AND endpoint_id || '' = %(endpoint)s AND claim = %(claim)s
        AND state || '' = 'pending'
"""
_BACKLOG: Final = """
    SELECT coalesce(sum(pending.many), 0)::bigint AS pending, min(oldest) AS oldest,
        coalesce(sum(dead.many), 0)::bigint AS dead,
        (SELECT count(*) FROM obligor.webhook_endpoint WHERE state = 'gone') AS gone
    FROM obligor.webhook_endpoint CROSS JOIN LATERAL (
        SELECT count(*) AS many, min(due_since) AS oldest FROM obligor.delivery
        WHERE delivery.endpoint_id = webhook_endpoint.endpoint_id AND delivery.state = 'pending'
    ) AS pending CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM obligor.delivery
        WHERE delivery.endpoint_id = webhook_endpoint.endpoint_id AND delivery.state = 'dead'
    ) AS dead WHERE state = 'active'
"""
"""Each state has an index of its own, which neither has of both: the delivered are not passed over."""
_STANDING: Final = """
    SELECT endpoint_id, pending.many AS pending, dead.many AS dead
    FROM obligor.webhook_endpoint CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM obligor.delivery
        WHERE delivery.endpoint_id = webhook_endpoint.endpoint_id AND delivery.state = 'pending'
    ) AS pending CROSS JOIN LATERAL (
        SELECT count(*) AS many FROM obligor.delivery
        WHERE delivery.endpoint_id = webhook_endpoint.endpoint_id AND delivery.state = 'dead'
    ) AS dead
"""
_DEAD: Final = """
    SELECT event_id, endpoint_id, type, attempts, last_status, last_trouble, settled_at
    FROM obligor.delivery JOIN obligor.outbox USING (event_id) WHERE state = 'dead' ORDER BY settled_at, event_id
"""
_REPLAY: Final = """
    UPDATE obligor.delivery SET state = 'pending', attempts = 0, claim = NULL, due_since = %(at)s, tried_since = NULL,
        next_at = %(at)s, settled_at = NULL
    WHERE endpoint_id = %(endpoint)s AND {which} RETURNING event_id
"""
_GO_ON: Final = """
    UPDATE obligor.delivery SET attempts = 0, claim = NULL, due_since = %(at)s, tried_since = NULL, next_at = %(at)s
    WHERE endpoint_id = %(endpoint)s AND state = 'pending' RETURNING event_id
"""
_RECALLED: Final = """
    UPDATE obligor.delivery SET next_at = %(at)s
    WHERE endpoint_id = ANY(%(endpoints)s) AND state = 'pending' AND next_at > %(latest)s RETURNING event_id
"""
_FROM, _TO = "coalesce(%(since)s, '-infinity'::timestamptz)", "coalesce(%(until)s, 'infinity'::timestamptz)"
_IN_TIME: Final = f"created_at >= {_FROM} AND created_at < {_TO}"
_REPLAY_DEAD: Final = _REPLAY.format(
    which=f"""state = 'dead' AND EXISTS (
        SELECT FROM obligor.outbox WHERE outbox.event_id = delivery.event_id AND {_IN_TIME})"""
)
_REPLAY_ALL: Final = _REPLAY.format(
    which=f"""state IN ('dead', 'delivered') AND event_id = ANY (ARRAY(
        SELECT event_id FROM obligor.outbox WHERE {_IN_TIME}
            AND leaf_index >= {reached(_FROM)}
            AND leaf_index < {reached(f"{_TO} + interval '1 hour'")}))"""  # noqa: S608  words of our own
)
"""Of the dead there is an index; of all, the events of that time are found first."""


class PostgresDeliveries:
    """Fulfils :class:`obligor.serving.webhooks.delivering.Deliveries`, and finds endpoints and dead letters."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def endpoints(self) -> tuple[WebhookRow, ...]:
        """Give every endpoint that is active."""
        return tuple(map(_endpoint, await self._pool.rows(f"{_ENDPOINTS} WHERE state = 'active' ORDER BY endpoint_id")))

    async def all_endpoints(self) -> tuple[WebhookRow, ...]:
        """Give every endpoint there is and was, by client and age."""
        return tuple(map(_endpoint, await self._pool.rows(f"{_ENDPOINTS} ORDER BY client_id, created_at, endpoint_id")))

    async def endpoint(self, endpoint_id: str) -> WebhookRow | None:
        """Find an endpoint."""
        found = await self._pool.rows(f"{_ENDPOINTS} WHERE endpoint_id = %s", (endpoint_id,))
        return _endpoint(found[0]) if found else None

    async def claim(self, endpoint_id: str, most: int, *, at: datetime, until: datetime) -> tuple[ClaimedEvent, ...]:
        """Claim events that are due, the earliest of each application; nobody else gets them before the claim ends."""
        given = {"endpoint": endpoint_id, "most": most, "at": at, "until": until, "claim": uuid4()}
        return tuple(ClaimedEvent(**row) for row in await self._pool.change(_CLAIM, given))

    async def delivered(self, endpoint_id: str, events: Sequence[UUID], *, status: int, at: datetime) -> None:
        """Note that events were taken at an endpoint, and with which status."""
        given = {"endpoint": endpoint_id, "events": sorted(events), "status": status, "at": at}
        await self._pool.change(_DELIVERED, given)

    async def failed(
        self, event: ClaimedEvent, *, status: int | None, trouble: str, at: datetime, again: datetime | None
    ) -> None:
        """Note that it was not: it is tried again then, and those behind it no earlier, or it is given up."""
        given = _of(event) | {"status": status, "trouble": trouble, "at": at, "again": again}
        if again is None:
            await self._pool.change(_GIVEN_UP, given)
            return
        await self._pool.change(_FAILED, given)
        if event.application_id is not None:
            await self._pool.change(_BEHIND, given)

    async def backlog(self) -> Backlog:
        """Count what waits and what was given up, at the endpoints that are active."""
        (row,) = await self._pool.rows(_BACKLOG)
        return Backlog(**row)

    async def recall(self, endpoints: Sequence[str], *, at: datetime, latest: datetime) -> None:
        """Let what was put off until after a time be due now."""
        await self._pool.change(_RECALLED, {"endpoints": list(endpoints), "at": at, "latest": latest})

    async def standing(self) -> dict[str, dict[str, int]]:
        """Count what waits and what was given up, for each endpoint."""
        return {row.pop("endpoint_id"): row for row in await self._pool.rows(_STANDING)}

    async def dead(self) -> tuple[DeadLetter, ...]:
        """Give the events that were given up, the oldest first."""
        return tuple(DeadLetter(**row) for row in await self._pool.rows(_DEAD))

    async def go_on(self, endpoint_id: str, *, at: datetime) -> int:
        """Let what waits at an endpoint be sent now, as if it had not been tried; give how many that is."""
        return len(await self._pool.change(_GO_ON, {"endpoint": endpoint_id, "at": at}))

    async def replay(
        self, endpoint_id: str, *, at: datetime, since: datetime | None, until: datetime | None, delivered: bool
    ) -> int:
        """Let events be sent again: those given up, and those delivered where asked for; give how many that is."""
        given = {"endpoint": endpoint_id, "at": at, "since": since, "until": until}
        return len(await self._pool.change(_REPLAY_ALL if delivered else _REPLAY_DEAD, given))


def _of(event: ClaimedEvent) -> dict[str, object]:
    return {
        "event": event.event_id,
        "endpoint": event.endpoint_id,
        "application": event.application_id,
        "sequence": event.sequence,
        "claim": event.claim,
    }


def _endpoint(row: dict[str, Any]) -> WebhookRow:
    return WebhookRow(**{**row, "event_types": tuple(row["event_types"])})
