"""The few leaves by which people took note that the log was set back are found without reading all of it."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; it holds those leaves alone, so that other acts do not grow it."""
    op.execute(
        "CREATE INDEX leaf_restores ON obligor.leaf (index) WHERE kind IN ('restore.proposed', 'restore.acknowledged')"
    )


def downgrade() -> None:
    """Take the index away; the leaves stay."""
    op.execute("DROP INDEX obligor.leaf_restores")
