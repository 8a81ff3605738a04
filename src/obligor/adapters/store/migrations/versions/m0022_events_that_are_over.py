"""An index by which events that are over are found, by when they were settled; and up to when they were pruned."""

from __future__ import annotations

from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.outbox_pruned (
        one boolean CONSTRAINT outbox_pruned_pkey PRIMARY KEY CONSTRAINT outbox_pruned_one_row CHECK (one),
        before timestamptz NOT NULL
    )
"""
_COMMENT = (
    "One row, once it is pruned: events that were settled before then are gone, but for those under a legal hold."
)


def upgrade() -> None:
    """Make the table and the index; a version of before prunes nothing, and finds all that it looks for."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.outbox_pruned IS '{_COMMENT}'")
    op.execute("CREATE INDEX delivery_settled ON obligor.delivery (settled_at) WHERE settled_at IS NOT NULL")
    op.execute("GRANT UPDATE ON obligor.outbox, obligor.outbox_pruned TO obligor_service")
    op.execute("GRANT DELETE ON obligor.outbox, obligor.delivery TO obligor_service")


def downgrade() -> None:
    """Take it all away; a doctor of before tells of decisions whose events were pruned."""
    op.execute("REVOKE UPDATE ON obligor.outbox FROM obligor_service")
    op.execute("REVOKE DELETE ON obligor.outbox, obligor.delivery FROM obligor_service")
    op.execute("DROP INDEX obligor.delivery_settled")
    op.execute("DROP TABLE obligor.outbox_pruned")
