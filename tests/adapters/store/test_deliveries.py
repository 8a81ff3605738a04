"""Events that are due are found without reading all that wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg

from obligor.adapters.store.deliveries import _CLAIM

BACKLOG = 20_000
ROWS = """
    WITH event AS (
        INSERT INTO obligor.outbox (event_id, leaf_index, client_id, application_id, sequence, type, payload, created_at)
        SELECT gen_random_uuid(), at, 'bank', 'loan ' || at / 4, at %% 4 + 1, 'decision.made', '',
            now() - interval '1 hour' + at * interval '1 millisecond'
        FROM generate_series(0, %(count)s - 1) AS made (at) RETURNING *
    )
    INSERT INTO obligor.delivery (event_id, endpoint_id, application_id, sequence, due_since, next_at)
    SELECT event_id, 'ep', application_id, sequence, created_at, created_at FROM event
"""


def test_a_claim_reads_a_few_rows_of_a_long_backlog_that_the_planner_knows_nothing_of(store_url: str) -> None:
    """Each application has four events, of which only the first is due: a claim of 64 passes over some hundred others."""
    at = datetime.now(UTC) + timedelta(minutes=1)
    given = {"endpoint": "ep", "most": 64, "at": at, "until": at + timedelta(minutes=1), "claim": uuid4()}
    with psycopg.connect(store_url) as connection:
        connection.execute(ROWS, {"count": BACKLOG})
        ((plan,),) = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {_CLAIM}", given).fetchall()
        claimed = connection.execute("SELECT sequence FROM obligor.delivery WHERE claim IS NOT NULL").fetchall()
    assert claimed == [(1,)] * 64
    whole = plan[0]["Plan"]
    assert whole["Shared Hit Blocks"] + whole["Shared Read Blocks"] < BACKLOG
