"""What people decided in place of a decision."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.override (
        decision_id uuid CONSTRAINT override_pkey PRIMARY KEY,
        leaf_index bigint NOT NULL CONSTRAINT override_leaf_index_key UNIQUE,
        client_id text NOT NULL,
        outcome text NOT NULL CONSTRAINT override_outcome CHECK (outcome IN ('approve', 'decline')),
        direction text NOT NULL,
        reason text NOT NULL,
        role text NOT NULL,
        decided_at timestamptz NOT NULL,
        by text NOT NULL,
        agreed_by text,
        expires_at timestamptz,
        CONSTRAINT override_that_approves_expires CHECK ((expires_at IS NOT NULL) = (outcome = 'approve'))
    )
"""
_COMMENT = (
    "What a person decided in place of a decision: once, as the key says; what they wrote is in the record alone."
)


def upgrade() -> None:
    """Make the table; a version of before overrides nothing, and tells of a decision what it told."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.override IS '{_COMMENT}'")


def downgrade() -> None:
    """Take the table away, where nobody overrode a decision."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.override)")).scalar_one():
        raise RuntimeError("the store holds overrides; they are not taken away")
    op.execute("DROP TABLE obligor.override")
