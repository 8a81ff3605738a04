"""Who proposed and who approved compliance profiles."""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.execute("""
        CREATE TABLE obligor.profile_change (
            change_id text,
            step text CONSTRAINT step_is_known CHECK (step IN ('proposed', 'approved')),
            leaf_index bigint NOT NULL CONSTRAINT profile_change_leaf_index_key UNIQUE,
            profile_sha256 text NOT NULL,
            replaces_sha256 text NOT NULL,
            because text NOT NULL,
            at timestamptz NOT NULL,
            by text NOT NULL,
            CONSTRAINT profile_change_pkey PRIMARY KEY (change_id, step)
        )
    """)
    op.execute("""
        COMMENT ON TABLE obligor.profile_change IS
        'Proposals and approvals of compliance profiles: one row for each step.'
    """)


def downgrade() -> None:
    """Take the table away; the log keeps what it repeats."""
    op.execute("DROP TABLE obligor.profile_change")
