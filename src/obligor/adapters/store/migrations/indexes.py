"""Makes indexes on tables that are large, while others write to them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

_BROKEN_OFF = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(:name) AND NOT indisvalid)"


def create_concurrently(name: str, on: str) -> None:
    """Make an index, outside of a transaction; one that is there stays, and one that was broken off is made again.

    What the step did before is committed by then: let it come first in a step.
    """
    with op.get_context().autocommit_block():
        if op.get_bind().execute(text(_BROKEN_OFF), {"name": f"obligor.{name}"}).scalar_one():
            op.execute(f"DROP INDEX CONCURRENTLY obligor.{name}")
        op.execute(f"CREATE INDEX CONCURRENTLY IF NOT EXISTS {name} ON obligor.{on}")
