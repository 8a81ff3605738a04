"""The page about the store says what its tables are."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.dialects import postgresql
from tests.stores import NOW, as_auditor, as_service, held, submission

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.log_source import open_log
from obligor.adapters.store.pool import Pool
from obligor.adapters.store.pruning import PostgresPruning
from obligor.adapters.store.recorder import PostgresRecorder
from obligor.adapters.store.tables import METADATA

if TYPE_CHECKING:
    from sqlalchemy import Table

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "store.md").read_text()


def line(table: Table) -> str:
    columns = ", ".join(
        f"`{column.name}` {_type(column.type.compile(postgresql.dialect()))}" for column in table.columns
    )
    return f"| `{table.name}` | {table.comment} | {columns} |"


def _type(name: str) -> str:
    return name.lower().replace("timestamp with time zone", "timestamptz")


@pytest.mark.parametrize("table", METADATA.sorted_tables, ids=lambda table: table.name)
def test_every_table_is_in_the_reference(table: Table) -> None:
    assert line(table) in PAGE.splitlines()


def test_the_comments_in_the_database_are_those_of_the_reference(store_url: str) -> None:
    with psycopg.connect(store_url) as connection:
        found = connection.execute(
            "SELECT relname, obj_description(oid) FROM pg_class"
            " WHERE relnamespace = 'obligor'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'"
        ).fetchall()
    assert dict(found) == {table.name: table.comment for table in METADATA.sorted_tables}


def test_a_service_that_owns_nothing_has_the_rights_that_the_reference_tells(store_url: str) -> None:
    told = re.search(
        r"change rows of (.*?) alone, and of `outbox` what it tells; and delete rows of (.*?) alone", PAGE, re.DOTALL
    )
    assert told is not None
    changed, deleted = (set(re.findall(r"`(\w+)`", it)) for it in told.groups())
    with psycopg.connect(store_url) as owner:
        for table in METADATA.tables.values():
            more = [right for right, tables in (("UPDATE", changed), ("DELETE", deleted)) if table.name in tables]
            assert _rights(owner, table.fullname) == {"SELECT", "INSERT", *more}, table.name
            may_read = set() if table.name == "app_user" else {"SELECT"}  # of which it may read all columns but one
            assert _rights(owner, table.fullname, of="obligor_auditor") == may_read, table.name
        assert _rights(owner, "obligor.alembic_version") == {"SELECT"}
        columns = "SELECT attname FROM pg_attribute WHERE attrelid = 'obligor.outbox'::regclass AND attnum > 0"
        may = f"{columns} AND has_column_privilege('obligor_service', attrelid, attnum, 'UPDATE')"
        assert owner.execute(may.encode()).fetchall() == [("payload",)]
        assert changed <= {table.name for table in METADATA.tables.values()}


HASHED = "$argon2id$v=19$m=65536$c2FsdA$aGFzaA"


def test_who_verifies_the_log_reads_no_hash_of_a_password_and_holds_it_against_the_log_all_the_same(
    store_url: str,
) -> None:
    with psycopg.connect(store_url) as owner:
        for user, password in {"ada": HASHED, "elsewhere": "", "escaped": f"\\x{HASHED.encode().hex()}"}.items():
            owner.execute("INSERT INTO obligor.app_user VALUES (%s, %s, now(), NULL, 0)", (user, password))
    auditor = as_auditor(store_url)
    for what in ("*", "password"):
        with psycopg.connect(auditor) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"SELECT {what} FROM obligor.app_user".encode())
    with open_log(auditor) as read:
        ada, elsewhere, escaped = read.people("app_user")
    assert ada["password_sha256"] == hashlib.sha256(HASHED.encode()).hexdigest()
    assert escaped["password_sha256"] == hashlib.sha256(rf"\x{HASHED.encode().hex()}".encode()).hexdigest()
    assert ("password" in ada, elsewhere["password_sha256"]) == (False, "")
    with open_log(store_url) as owned:
        assert "password" in next(iter(owned.people("app_user")))


def test_a_table_to_come_is_held_to_the_same_rights(store_url: str) -> None:
    with psycopg.connect(store_url) as owner:
        owner.execute("CREATE TABLE obligor.to_come (at int)")
        assert _rights(owner, "obligor.to_come") == {"SELECT", "INSERT"}
        assert _rights(owner, "obligor.to_come", of="obligor_auditor") == {"SELECT"}


def test_a_service_that_owns_nothing_decides_and_forgets_nothing(store_url: str) -> None:
    url, decision_id = as_service(store_url), uuid4()

    async def decide() -> None:
        async with PostgresRecorder(url) as recorder:
            await recorder.record(submission("one", decision_id=decision_id))
        pool = Pool(url)
        assert await PostgresArchive(pool).decision(decision_id, client_id="bank")
        assert await PostgresArchive(pool).decision(decision_id, client_id="broker") is None
        assert (await PostgresPruning(pool).prune(before=NOW, after=None, most=1)).pruned == 0
        await pool.close()

    asyncio.run(decide())
    with psycopg.connect(url, autocommit=True) as service:
        for change in (
            "DELETE FROM obligor.request",
            "UPDATE obligor.decision SET score = 0",
            "DROP TABLE obligor.leaf",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                service.execute(change.encode())
    assert len(held(store_url).leaves) == 1


def _rights(connection: psycopg.Connection[Any], table: str, *, of: str = "obligor_service") -> set[str]:
    all_there_are = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"]
    query = "SELECT it FROM unnest(%s::text[]) AS it WHERE has_table_privilege(%s, %s, it)"
    return {row[0] for row in connection.execute(query, (all_there_are, of, table))}
