"""What lenders did beside their decisions: counter-offers, their answers, and what applications lack."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0035"
down_revision = "0034"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.action (
        decision_id uuid NOT NULL,
        step text NOT NULL CONSTRAINT action_step CHECK (step IN ('offered', 'accepted', 'not_accepted', 'incomplete')),
        leaf_index bigint NOT NULL CONSTRAINT action_leaf_index_key UNIQUE,
        client_id text NOT NULL,
        done_on date NOT NULL,
        until date,
        at timestamptz NOT NULL,
        by text NOT NULL,
        CONSTRAINT action_pkey PRIMARY KEY (decision_id, step),
        CONSTRAINT action_that_waits_ends CHECK ((until IS NOT NULL) = (step IN ('offered', 'incomplete')))
    )
"""
_ONE_ANSWER = (
    "CREATE UNIQUE INDEX action_answer ON obligor.action (decision_id) WHERE step IN ('accepted', 'not_accepted')"
)
_COMMENT = "What a lender did beside a decision; what was offered, or is missing, is in the record alone."
_ITS_OWN = "client_id = current_setting('obligor.client', true)"
_ANYBODY_ELSE = "current_user <> 'obligor_reader'"


def upgrade() -> None:
    """Make the table, under policies as of decisions; a version of before says nothing of the kind."""
    op.execute(_TABLE)
    op.execute(_ONE_ANSWER)
    op.execute(f"COMMENT ON TABLE obligor.action IS '{_COMMENT}'")
    op.execute("ALTER TABLE obligor.action ENABLE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY own_rows ON obligor.action FOR SELECT TO obligor_reader USING ({_ITS_OWN})")
    op.execute(f"CREATE POLICY every_row ON obligor.action USING ({_ANYBODY_ELSE}) WITH CHECK ({_ANYBODY_ELSE})")
    op.execute("GRANT SELECT ON obligor.action TO obligor_reader")


def downgrade() -> None:
    """Take the table away, where nothing was done beside a decision."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.action)")).scalar_one():
        raise RuntimeError("the store holds what was done beside decisions; that is not taken away")
    op.execute("DROP TABLE obligor.action")
