"""The page about the store says what its tables are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy.dialects import postgresql
from tests.stores import held, submission

from obligor.adapters.store.archive import PostgresArchive
from obligor.adapters.store.pool import Pool
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


def test_the_rights_of_the_reference_are_enough_to_decide_and_too_few_to_forget(store_url: str) -> None:
    role = "obligor_of_a_test"
    rights = PAGE.partition("```sql\n")[2].partition("```")[0].replace("obligor_service", role).replace("'...'", "NULL")
    with psycopg.connect(store_url, autocommit=True) as owner:
        owner.execute(rights.encode())
        try:
            url = store_url.replace("://obligor@", f"://{role}@").replace("://postgres@", f"://{role}@")

            async def decide() -> None:
                async with PostgresRecorder(url) as recorder:
                    await recorder.record(submission("one", decision_id=decision_id))
                pool = Pool(url)
                assert await PostgresArchive(pool).decision(decision_id, client_id="bank")
                assert await PostgresArchive(pool).decision(decision_id, client_id="broker") is None
                await pool.close()

            decision_id = uuid4()
            asyncio.run(decide())
            with psycopg.connect(url, autocommit=True) as service:
                for change in (
                    "DELETE FROM obligor.request",
                    "UPDATE obligor.decision SET score = 0",
                    "DROP TABLE obligor.leaf",
                ):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        service.execute(change.encode())
        finally:
            owner.execute(f"DROP OWNED BY {role}")
            owner.execute(f"DROP ROLE {role}")
    assert len(held(store_url).leaves) == 1
