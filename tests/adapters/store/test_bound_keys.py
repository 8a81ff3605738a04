"""Keys that are bound to networks, in a store that versions use which know none."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from tests.adapters.store.test_privacy import verified

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.migrating import downgrade, migrate
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.serving.people.issuing import issue
from obligor.serving.sources import live_sources

DAY = timedelta(days=1)
BOUND = ("10.0.0.0/8", "2001:db8::/32")
OF_BEFORE = """
    INSERT INTO obligor.api_key (key_id, client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at,
        replaced_by, leaf_index)
    SELECT {}, client_id, name, scopes, secret_sha256, created_at, expires_at, now(), replaced_by, leaf_index
    FROM obligor.api_key WHERE key_id = %s
    ON CONFLICT (key_id) DO UPDATE SET (client_id, name, scopes, secret_sha256, created_at, expires_at, revoked_at,
        replaced_by, leaf_index) = (excluded.client_id, excluded.name, excluded.scopes, excluded.secret_sha256,
        excluded.created_at, excluded.expires_at, excluded.revoked_at, excluded.replaced_by, excluded.leaf_index)
"""
"""How a version writes a key that knows no networks."""


def issued(url: str, *networks: str) -> str:
    async def run() -> str:
        sources = live_sources()
        async with PostgresRecorder(url) as recorder:
            said = {"scopes": ["read"], "lasts": DAY, "networks": networks}
            return (await issue("bank", by="ada", recorder=recorder, sources=sources, **said)).kept.key_id

    return asyncio.run(run())


def networks(url: str) -> dict[str, tuple[str, ...]]:
    async def run() -> dict[str, tuple[str, ...]]:
        pool = Pool(url)
        found = {it.key_id: it.networks for it in await PostgresArchive(pool).api_keys()}
        await pool.close()
        return found

    return asyncio.run(run())


def test_a_version_of_before_leaves_the_networks_of_a_key_alone_and_gives_new_ones_none(store_url: str) -> None:
    key_id = issued(store_url, *BOUND)
    with psycopg.connect(store_url) as connection:
        connection.execute(OF_BEFORE.format("key_id").encode(), (key_id,))
        connection.execute(OF_BEFORE.format("'another'").encode(), (key_id,))
    assert networks(store_url) == {key_id: BOUND, "another": ()}


def test_a_store_of_before_has_keys_that_are_bound_to_none(store_url: str) -> None:
    key_id = issued(store_url)
    downgrade(store_url, "0027")
    migrate(store_url)
    assert networks(store_url) == {key_id: ()}
    assert verified(store_url) == []


def test_nobody_goes_back_to_a_store_that_forgets_what_keys_are_bound_to(store_url: str) -> None:
    key_id = issued(store_url, *BOUND)
    with pytest.raises(RuntimeError, match="bound to networks"):
        downgrade(store_url, "0027")
    assert networks(store_url) == {key_id: BOUND}
