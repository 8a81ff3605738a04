"""Runs the steps in one transaction, alone: whoever comes second waits, and finds them done.

A step that makes an index while others write (``indexes``) ends the transaction before, and begins another.
"""

from __future__ import annotations

from time import monotonic, sleep

from alembic import context
from sqlalchemy import Connection, text

from obligor.adapters.store.tables import METADATA, SCHEMA
from obligor.core.errors import UnavailableError

_LOCK = 0x0B1160  # any number, but always the same one
_PATIENCE_S = 30
_LOOK_S = 0.1


def _run() -> None:
    connection = context.config.attributes["connection"]
    _wait_for_others(connection)
    connection.execute(text(f"SET lock_timeout = '{_PATIENCE_S}s'"))
    connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        version_table_schema=SCHEMA,
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _wait_for_others(connection: Connection) -> None:
    """Take the lock, as long as the connection lasts; without a transaction meanwhile, for whose end an index would wait."""
    until = monotonic() + _PATIENCE_S
    while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}).scalar_one():
        connection.commit()
        if monotonic() > until:
            raise UnavailableError("the store is being changed by another process; try again")
        sleep(_LOOK_S)
    connection.commit()


_run()
