"""What was said of the report of a match may be amended, and all that was said stays."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_COMMENT_BEFORE = (
    "Which confirmed matches were reported to OFAC, on which day, and by which reference the report is found."
)
_COMMENT = f"{_COMMENT_BEFORE.removesuffix('.')}; of the reports of one match, the last counts."


def upgrade() -> None:
    """Number the reports of a match.

    A process of before writes neither a number nor a reason: what it adds is the first report of a match, of which the key
    lets one be. Until it is replaced it lists a match once for each of its reports.
    """
    op.execute(
        "ALTER TABLE obligor.alert_report ADD COLUMN number smallint NOT NULL DEFAULT 1, ADD COLUMN because text, "
        "DROP CONSTRAINT alert_report_pkey, ADD CONSTRAINT alert_report_pkey PRIMARY KEY (alert_id, number), "
        "ADD CONSTRAINT alert_report_says_why CHECK ((number = 1) = (because IS NULL))"
    )
    op.execute(f"COMMENT ON TABLE obligor.alert_report IS '{_COMMENT}'")


def downgrade() -> None:
    """Take the numbers away, where nothing was amended."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.alert_report WHERE number > 1)")).scalar_one():
        raise RuntimeError("the store holds how reports were amended; that is not taken away")
    op.execute(f"COMMENT ON TABLE obligor.alert_report IS '{_COMMENT_BEFORE}'")
    op.execute(
        "ALTER TABLE obligor.alert_report DROP CONSTRAINT alert_report_says_why, DROP CONSTRAINT alert_report_pkey, "
        "DROP COLUMN number, DROP COLUMN because, ADD CONSTRAINT alert_report_pkey PRIMARY KEY (alert_id)"
    )
