"""Applications that are held are found without looking at all decisions."""

from __future__ import annotations

from alembic import op

from obligor.adapters.store.migrations.indexes import create_concurrently

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the index; it has the held ones alone, so that it costs the other decisions nothing."""
    create_concurrently("decision_held", "decision (leaf_index) WHERE outcome = 'hold'")


def downgrade() -> None:
    """Take the index away."""
    op.execute("DROP INDEX obligor.decision_held")
