"""Runs the steps in one transaction, alone: whoever comes second waits, and finds them done."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from obligor.adapters.store.tables import METADATA, SCHEMA

_LOCK = 0x0B1160  # any number, but always the same one
_PATIENCE = "30s"


def _run() -> None:
    connection = context.config.attributes["connection"]
    with connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{_PATIENCE}'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
        context.configure(
            connection=connection,
            target_metadata=METADATA,
            version_table_schema=SCHEMA,
            include_schemas=True,
        )
        context.run_migrations()


_run()
