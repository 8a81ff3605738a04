"""Verification reads one moment of the log, and values as records write them."""

from __future__ import annotations

import asyncio
import tracemalloc
from hashlib import sha256
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.stores import held, submission

from obligor.adapters.store.log_source import open_log
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.core.errors import UnavailableError

if TYPE_CHECKING:
    from obligor.serving.acts import Submission


def record(url: str, *submissions: Submission) -> None:
    async def run() -> None:
        async with PostgresRecorder(url) as recorder:
            for each in submissions:
                await recorder.record(each)

    asyncio.run(run())


def test_the_log_is_read_as_it_was_when_it_was_opened(store_url: str) -> None:
    record(store_url, submission("one"), submission("two"))
    wanted = [leaf["hash"] for leaf in held(store_url).leaves]
    with open_log(store_url) as source:
        assert source.head() == 2
        record(store_url, submission("three"))
        assert [leaf.hash for leaf in source.leaves()] == wanted
        assert list(source.hashes(0, 0, 99)) == wanted
        assert [leaf.index for leaf in source.leaves(1)] == [1]
        assert [request.key for request in source.requests()] == ["one", "two"]


def test_rows_come_in_the_form_of_records(store_url: str) -> None:
    record(store_url, submission("one"))
    (decision,) = held(store_url).decisions
    with open_log(store_url) as source:
        (row,) = source.rows("decision")
    assert row.leaf_index == 0
    assert row.values["decision_id"] == str(decision["decision_id"])
    assert row.values["decided_at"] == "2026-11-26T12:00:00.000000Z"
    assert (row.values["application_id"], row.values["score"]) == (None, 512_345)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ("DROP TRIGGER append_only ON obligor.leaf", "table leaf: the trigger append_only is gone"),
        (
            "ALTER TABLE obligor.record DISABLE TRIGGER append_only",
            "table record: the trigger append_only is switched off",
        ),
        ("ALTER TABLE obligor.leaf ENABLE TRIGGER append_only", "table leaf: the trigger append_only is switched off"),
        (
            "CREATE OR REPLACE FUNCTION obligor.refuse_change() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
            None,  # PostgreSQL has no triggers in SQL
        ),
        (
            "CREATE OR REPLACE FUNCTION obligor.refuse_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
            "table leaf: the trigger append_only does not refuse every change",
        ),
    ],
)
def test_a_guard_that_is_gone_is_told(store_url: str, change: str, wanted: str | None) -> None:
    with psycopg.connect(store_url, autocommit=True) as owner:
        if wanted is None:
            with pytest.raises(psycopg.errors.InvalidFunctionDefinition):
                owner.execute(change.encode())
        else:
            owner.execute(change.encode())
    with open_log(store_url) as source:
        found = source.unguarded()
    assert [fault for fault in found if fault.startswith(wanted or "?")] == found[: 0 if wanted is None else 1]


def test_guards_in_their_place_are_no_fault(store_url: str) -> None:
    with open_log(store_url) as source:
        assert list(source.unguarded()) == []


def test_a_store_that_is_down_is_told() -> None:
    with pytest.raises(UnavailableError), open_log("postgresql://me:secret@127.0.0.1:1/none"):
        pass


def test_artefacts_are_given_one_at_a_time_for_one_may_be_a_hundred_megabytes(store_url: str) -> None:
    size, many = 1 << 20, 8
    with psycopg.connect(store_url) as connection:
        for number in range(many):
            body = bytes([number]) * size
            connection.execute(
                "INSERT INTO obligor.artefact (sha256, kind, body) VALUES (%s, 'list', %s)",
                (sha256(body).hexdigest(), body),
            )
    with open_log(store_url) as log:
        tracemalloc.start()
        given = sum(len(it.body) for it in log.artefacts())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert given >= many * size
    assert peak < 4 * size
