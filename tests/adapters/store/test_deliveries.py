"""Events that are due are found without reading all that wait."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from tests.stores import pages_read

from obligor.adapters.store.deliveries import _BEHIND, _CLAIM, _DELIVERED, _FAILED, _GIVEN_UP
from obligor.adapters.store.pruning import _GIVE_UP

BACKLOG = 60_000
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


LATER = datetime.now(UTC) + timedelta(minutes=1)
CLAIM = {"endpoint": "ep", "at": LATER, "until": LATER + timedelta(minutes=1), "claim": uuid4()}


def test_a_claim_reads_a_few_rows_of_a_long_backlog_that_the_planner_knows_nothing_of(store_url: str) -> None:
    """Each application has four events, of which only the first is due: a claim of 64 passes over some hundred others."""
    with psycopg.connect(store_url) as connection:
        connection.execute(ROWS, {"count": BACKLOG})
        read = pages_read(connection, _CLAIM, CLAIM | {"most": 64})
        claimed = connection.execute("SELECT sequence FROM obligor.delivery WHERE claim IS NOT NULL").fetchall()
    assert claimed == [(1,)] * 64
    assert read < BACKLOG


def test_a_claim_reads_no_event_of_an_application_with_many_more_than_twice_or_so(store_url: str) -> None:
    """All wait for the first, and each finds at once that one before it waits."""
    with psycopg.connect(store_url) as connection:
        connection.execute(ROWS.replace("at / 4", "0").replace("at %% 4", "at"), {"count": 1000})
        read = pages_read(connection, _CLAIM, CLAIM | {"most": 64})
        claimed = connection.execute("SELECT sequence FROM obligor.delivery WHERE claim IS NOT NULL").fetchall()
    assert claimed == [(1,)]
    assert read < 6 * 1000


@pytest.mark.parametrize("settle", [_DELIVERED, _FAILED, _GIVEN_UP, _BEHIND])
def test_an_event_is_settled_without_reading_a_long_backlog_that_the_planner_knows_nothing_of(
    store_url: str, settle: str
) -> None:
    with psycopg.connect(store_url) as connection:
        connection.execute(ROWS, {"count": BACKLOG})
        claimed = connection.execute(_CLAIM.encode(), CLAIM | {"most": 1}).fetchone()
        assert claimed is not None
        event, _, application, *_ = claimed
        of_it = {
            "event": event,
            "events": [event],
            "application": application,
            "sequence": 1,
            "status": 200,
            "trouble": "",
            "again": LATER,
        }
        read = pages_read(connection, settle, CLAIM | of_it)
        changed = connection.execute(
            "SELECT count(*) FROM obligor.delivery WHERE last_status = 200 OR next_at = %s", (LATER,)
        ).fetchall()
    assert changed == [(3 if settle == _BEHIND else 1,)]
    assert read < 50


def test_what_waits_for_too_long_is_given_up_without_reading_all_that_waits(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        connection.execute(
            "INSERT INTO obligor.webhook_endpoint VALUES ('ep', 'bank', '', '{}', 'gone', '', NULL, NULL, now(), 0)"
        )
        connection.execute(ROWS, {"count": BACKLOG})
        read = pages_read(connection, _GIVE_UP, {"before": LATER, "at": LATER, "trouble": "", "most": 100})
        given_up = connection.execute("SELECT count(*) FROM obligor.delivery WHERE state = 'dead'").fetchall()
    assert given_up == [(100,)]
    assert read < BACKLOG / 30
