"""That what was blocked on 30 June of a year was reported, and how that was amended."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.yearly_report (
        year smallint,
        number smallint,
        reference text NOT NULL,
        reported_on date NOT NULL,
        alerts text[] NOT NULL,
        because text,
        at timestamptz NOT NULL,
        by text NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT yearly_report_leaf_index_key UNIQUE,
        CONSTRAINT yearly_report_pkey PRIMARY KEY (year, number),
        CONSTRAINT yearly_report_says_why CHECK ((number = 1) = (because IS NULL))
    )
"""
_COMMENT = (
    "Which confirmed matches the report to OFAC of what was blocked on 30 June of a year named, on which day it was "
    "filed, and by which reference it is found; of the reports of one year, the last counts."
)


def upgrade() -> None:
    """Make the table; a version of before knows of no such report, and tells the day of one that was filed."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.yearly_report IS '{_COMMENT}'")


def downgrade() -> None:
    """Take it away, where nothing was reported."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.yearly_report)")).scalar_one():
        raise RuntimeError("the store holds which yearly reports were filed; that is not taken away")
    op.execute("DROP TABLE obligor.yearly_report")
