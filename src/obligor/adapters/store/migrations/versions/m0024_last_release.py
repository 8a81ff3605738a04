"""The last release that the log tells of is found without reading all of it."""

from __future__ import annotations

from alembic import op

from obligor.adapters.store.migrations.indexes import create_concurrently

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; it holds those leaves alone, so that other acts do not grow it."""
    create_concurrently("leaf_releases", "leaf (index) WHERE kind = 'release'")


def downgrade() -> None:
    """Take the index away; the leaves stay."""
    op.execute("DROP INDEX obligor.leaf_releases")
