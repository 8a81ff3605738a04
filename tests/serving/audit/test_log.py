"""A checkpoint that is kept is handed out only where this log signed it, and of the log as it is kept."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.lending import KEY
from tests.stores import as_owner, submission

from obligor.adapters.store.pool import Pool
from obligor.adapters.store.proofs import PostgresLog
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.checkpoints import Checkpoint
from obligor.core.errors import IntegrityError
from obligor.security.signing import SigningKey
from obligor.serving.archive import StoredDecision
from obligor.serving.audit.log import AuditLog
from obligor.serving.sources import live_sources

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OTHER = SigningKey(KEY.name, Ed25519PrivateKey.generate())


def told(url: str, ask: Callable[[AuditLog], Awaitable[object]]) -> object:
    async def run() -> object:
        pool = Pool(url)
        try:
            return await ask(AuditLog(PostgresLog(pool), KEY, live_sources()))
        finally:
            await pool.close()

    return asyncio.run(run())


@pytest.fixture
def url(store_url: str) -> str:
    """A store with three acts, and a checkpoint of them."""

    async def run() -> None:
        async with PostgresRecorder(store_url) as recorder:
            for key in ("one", "two", "three"):
                await recorder.record(submission(key))

    asyncio.run(run())
    told(store_url, lambda log: log.checkpoint())
    return store_url


def note_of(root: bytes, *, size: int = 3, key: SigningKey = KEY, origin: str = KEY.name) -> bytes:
    return key.sign_note(Checkpoint(origin, size, root).text()).encode()


def root_of(url: str) -> bytes:
    async def run() -> bytes:
        pool = Pool(url)
        try:
            return (await PostgresLog(pool).frontier()).root
        finally:
            await pool.close()

    return asyncio.run(run())


def test_a_true_checkpoint_is_handed_out_again_as_it_was(url: str) -> None:
    first = told(url, lambda log: log.checkpoint())
    assert told(url, lambda log: log.checkpoint()) == first == note_of(root_of(url))
    size, _ = told(url, lambda log: log.signed(covering=0))  # type: ignore[misc]
    assert size == 3


@pytest.mark.parametrize("covering", [None, 0])
@pytest.mark.parametrize(
    "forge",
    [
        lambda root: note_of(root, key=OTHER),
        lambda root: note_of(bytes(32)),
        lambda root: note_of(root, origin="obligor.example/another"),
        lambda root: note_of(root, size=2),
        lambda root: note_of(root)[:-9] + b"AAAAAAA=\n",
        lambda _: b"no note",
        lambda _: b"",
    ],
    ids=["another key", "another root", "another log", "another size", "no signature", "no note", "nothing"],
)
def test_a_checkpoint_that_somebody_wrote_into_the_store_is_refused(
    url: str, forge: Callable[[bytes], bytes], covering: int | None
) -> None:
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute("UPDATE obligor.checkpoint SET note = %s", (forge(root_of(url)),))
    with pytest.raises(IntegrityError, match="not signed by this log"):
        told(url, lambda log: log.signed(covering=covering))


def test_a_checkpoint_of_a_log_that_is_longer_than_ours_is_refused(url: str) -> None:
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute(
            "INSERT INTO obligor.checkpoint (size, at, note) VALUES (9, now(), %s)", (note_of(bytes(32), size=9),)
        )
    with pytest.raises(IntegrityError):
        told(url, lambda log: log.checkpoint())


def test_a_checkpoint_that_was_true_is_looked_at_again_where_it_was_changed(url: str) -> None:
    async def scene(log: AuditLog) -> None:
        await log.checkpoint()
        with psycopg.connect(as_owner(url)) as connection:
            connection.execute("UPDATE obligor.checkpoint SET note = %s", (note_of(bytes(32)),))
        with pytest.raises(IntegrityError):
            await log.checkpoint()

    told(url, scene)


@pytest.mark.parametrize(
    "change", ["record SET body = 'other'", "record SET salt = '\\x00'", "leaf SET body = 'other'"]
)
def test_a_receipt_that_would_not_hold_is_not_given(url: str, change: str) -> None:
    def kept() -> StoredDecision:
        with psycopg.connect(as_owner(url)) as connection:
            row = connection.execute(
                "SELECT leaf.body, record.body, salt FROM obligor.leaf JOIN obligor.record ON index = leaf_index "
                "WHERE index = 1"
            ).fetchone()
        assert row
        return StoredDecision(UUID(int=1), "lender-one", 1, *row)

    assert told(url, lambda log: log.receipt(kept()))
    with psycopg.connect(as_owner(url)) as connection:
        connection.execute(f"ALTER TABLE obligor.{change.partition(' ')[0]} DISABLE TRIGGER append_only")  # type: ignore[arg-type]
        connection.execute(f"UPDATE obligor.{change}")  # type: ignore[arg-type]  # of this file
    with pytest.raises(IntegrityError, match="leaf 1: no receipt holds"):
        told(url, lambda log: log.receipt(kept()))
