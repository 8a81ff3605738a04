"""A real store beside its anchors: what somebody with the database, and even with the signing key, cannot hide."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from click.testing import CliRunner
from tests.lending import a_day, lending, write_key
from tests.stores import new_store, of_database

from obligor.adapters.anchors.file import FileAnchor
from obligor.cli.main import cli
from obligor.core.checkpoints import parse_checkpoint, parse_note
from obligor.core.errors import RollbackError, SplitViewError

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a service whose data, key and anchors lie in one folder."""
    monkeypatch.setenv("OBLIGOR_DATA", str(tmp_path))
    for name in ("OBLIGOR_ANCHORS", "OBLIGOR_AUDIT_KEY", "OBLIGOR_ENV"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_checkpoints_of_a_store_reach_its_anchor_and_the_store_notes_it(store_url: str, tmp_path: Path) -> None:
    a_day(store_url, tmp_path)
    note = FileAnchor(tmp_path).latest()
    assert note is not None
    assert parse_checkpoint(parse_note(note).text).size == 17
    with psycopg.connect(store_url) as connection:
        assert connection.execute("SELECT size, note FROM obligor.checkpoint").fetchall() == [(17, note)]
        assert connection.execute("SELECT anchor, size FROM obligor.anchoring").fetchall() == [
            (f"file://{tmp_path}", 17)
        ]


def test_a_command_on_yesterdays_backup_writes_nothing(
    embedded_postgres: str, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_key(deployment / "keys" / "audit-ed25519.pem")
    backup = f"backup_{uuid4().hex[:12]}"
    with new_store(embedded_postgres) as url, psycopg.connect(embedded_postgres, autocommit=True) as connection:
        a_day(url, deployment / "anchors", key=key)
        connection.execute(f"CREATE DATABASE {backup} TEMPLATE {url.partition('?')[0].rpartition('/')[2]}")

        async def more() -> None:
            async with lending(url, key=key, seed=2) as lender:
                await lender.decide(2, first=50)
                await lender.anchor(deployment / "anchors")

        asyncio.run(more())
        old = of_database(embedded_postgres, backup)
        monkeypatch.setenv("OBLIGOR_DATABASE_URL", old)
        done = CliRunner().invoke(cli, ["keys", "create", "acme"])
        assert isinstance(done.exception, RollbackError)
        assert "has a checkpoint of 19 leaves, and the log has 17" in str(done.exception)
        with psycopg.connect(old) as restored:
            assert restored.execute("SELECT size FROM obligor.tree_head").fetchone() == (17,)
            assert restored.execute("SELECT max(size) FROM obligor.checkpoint").fetchone() == (17,)
        connection.execute(f"DROP DATABASE {backup} WITH (FORCE)")


def test_what_a_command_writes_is_anchored_when_it_is_done(
    store_url: str, deployment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OBLIGOR_DATABASE_URL", store_url)
    assert CliRunner().invoke(cli, ["keys", "create", "acme"]).exit_code == 0
    note = FileAnchor(deployment / "anchors").latest()
    assert note is not None
    assert parse_checkpoint(parse_note(note).text).size == 1
    verified = CliRunner().invoke(cli, ["audit", "verify", "--quiet", "--anchors", str(deployment / "anchors")])
    assert verified.exit_code == 0


def test_a_log_that_was_written_anew_and_signed_with_its_own_key_does_not_begin(
    embedded_postgres: str, tmp_path: Path
) -> None:
    """Other decisions, whole and sound in themselves, as many and more: only the anchor knows that they are others."""
    with new_store(embedded_postgres) as url:
        a_day(url, tmp_path)

    async def began(url: str) -> None:
        async with lending(url, seed=7) as lender:
            await lender.decide(30)
            await lender.anchor(tmp_path)

    told = "has another root for the log of 17 leaves: the log was rewritten"
    with new_store(embedded_postgres) as other, pytest.raises(SplitViewError, match=told):
        asyncio.run(began(other))
