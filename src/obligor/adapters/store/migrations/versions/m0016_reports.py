"""That a confirmed match was reported, once."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.alert_report (
        alert_id uuid CONSTRAINT alert_report_pkey PRIMARY KEY,
        reference text NOT NULL,
        reported_on date NOT NULL,
        at timestamptz NOT NULL,
        by text NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT alert_report_leaf_index_key UNIQUE
    )
"""
_COMMENT = "Which confirmed matches were reported to OFAC, on which day, and by which reference the report is found."


def upgrade() -> None:
    """Make the table."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.alert_report IS '{_COMMENT}'")


def downgrade() -> None:
    """Take it away, where nothing was reported."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.alert_report)")).scalar_one():
        raise RuntimeError("the store holds which matches were reported; that is not taken away")
    op.execute("DROP TABLE obligor.alert_report")
