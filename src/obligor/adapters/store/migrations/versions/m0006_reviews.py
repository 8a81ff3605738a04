"""Reviews that applicants ask for, and what came of them."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE obligor.review (
        review_id uuid CONSTRAINT review_pkey PRIMARY KEY,
        decision_id uuid NOT NULL,
        client_id text NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT review_leaf_index_key UNIQUE,
        requested_at timestamptz NOT NULL,
        due_at timestamptz NOT NULL,
        pack text NOT NULL
    )
    """,
    "CREATE INDEX review_decision_id ON obligor.review (decision_id, leaf_index)",
    """
    CREATE TABLE obligor.review_decision (
        review_id uuid CONSTRAINT review_decision_pkey PRIMARY KEY,
        leaf_index bigint NOT NULL CONSTRAINT review_decision_leaf_index_key UNIQUE,
        verdict text NOT NULL,
        outcome text NOT NULL,
        decided_at timestamptz NOT NULL,
        by text NOT NULL,
        new_decision_id uuid
    )
    """,
)
_COMMENTS = {
    "review": "Who asked that a person looks at which decision, and by when; what they wrote is in the record alone.",
    "review_decision": "What came of a review: once, as the key says.",
}


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")


def downgrade() -> None:
    """Take the tables away, where nobody asked for a review."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.review)")).scalar_one():
        raise RuntimeError("the store holds reviews; they are not taken away")
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
