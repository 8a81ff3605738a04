"""Reviews and alerts that wait are told from those that are closed, whichever version of the service closed them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from obligor.adapters.store.examining import open_examination
from obligor.adapters.store.migrating import downgrade, migrate
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.reviews import PostgresReviews
from obligor.adapters.store.screening import PostgresScreening

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENED = """
    INSERT INTO obligor.review (review_id, decision_id, client_id, leaf_index, requested_at, due_at, pack)
    SELECT id, id, 'bank', at, now(), now() + at * interval '1 day', 'eu' FROM made;
    INSERT INTO obligor.alert
        (alert_id, decision_id, client_id, subject, entry, entry_sha256, score, list_sha256, opened_at, leaf_index)
    SELECT id, id, 'bank', '', '', '', at, '', now(), at FROM made;
    INSERT INTO obligor.record SELECT at, '{}', '' FROM made;
"""
CLOSED = """
    INSERT INTO obligor.review_decision SELECT id, 10 + at, 'kept', 'decline', now(), 'ann' FROM made WHERE at = 1;
    INSERT INTO obligor.alert_step SELECT id, step, '', CASE WHEN step <> 'confirmed' THEN now() END, now(), 'ann', leaf
    FROM made JOIN (VALUES (1, 'proposed', 21), (1, 'cleared', 22), (2, 'confirmed', 23), (3, 'confirmed', 24),
        (3, 'doubted', 25), (3, 'corrected', 26), (4, 'proposed', 27)) AS step (at, step, leaf) USING (at)
    ORDER BY leaf
"""
MADE = """CREATE TEMPORARY TABLE made AS
    SELECT at, ('00000000-0000-7000-8000-00000000000' || at)::uuid AS id FROM generate_series(1, 4) AS made (at)"""


@pytest.fixture
def store(store_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(store_url, autocommit=True) as connection:
        connection.execute(MADE)
        yield connection


def waiting(url: str) -> tuple[list[int], list[int]]:
    """Give the leaves of open reviews, and the scores of alerts that nobody cleared, as they are told."""

    async def found() -> tuple[list[int], list[int]]:
        pool = Pool(url)
        try:
            reviews = await PostgresReviews(pool).open_reviews()
            alerts = await PostgresScreening(pool, url).alerts(limit=9)
        finally:
            await pool.close()
        return [it.review_id.int % 16 for it in reviews], [it.score for it in alerts]

    return asyncio.run(found())


def test_what_waits_is_told_until_it_is_closed_and_a_confirmed_match_after_what_waits(
    store_url: str, store: psycopg.Connection[Any]
) -> None:
    store.execute(OPENED)
    assert waiting(store_url) == ([1, 2, 3, 4], [4, 3, 2, 1])
    store.execute(CLOSED)
    assert waiting(store_url) == ([2, 3, 4], [4, 2])


def test_what_was_closed_before_an_upgrade_is_closed_after_it(store_url: str, store: psycopg.Connection[Any]) -> None:
    downgrade(store_url, "0021")
    store.execute(OPENED)
    store.execute(CLOSED)
    migrate(store_url)
    assert waiting(store_url) == ([2, 3, 4], [4, 2])
    with open_examination(store_url) as examined:
        assert examined.misfiled() == []


def test_the_doctor_names_what_is_kept_from_those_whom_it_waits_for(
    store_url: str, store: psycopg.Connection[Any]
) -> None:
    store.execute(OPENED)
    store.execute(CLOSED)
    store.execute("UPDATE obligor.review SET closed = true WHERE leaf_index <= 3")
    store.execute("UPDATE obligor.alert SET closed = NOT closed WHERE leaf_index IN (1, 2, 4)")
    with open_examination(store_url) as examined:
        assert examined.misfiled() == ["2 reviews", "3 alerts"]
