"""Of a politically exposed person is said what clearing found: that it is somebody else, or that due diligence was done."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None

_STEPS = "ALTER TABLE obligor.alert_step ADD CONSTRAINT alert_step_is_known CHECK (step IN ({}))"
_BEFORE = "'proposed', 'cleared', 'confirmed', 'doubted', 'corrected'"


def upgrade() -> None:
    """Add the step of the first who looked more closely, and what was found; rows of before say it in their reason alone."""
    op.execute("ALTER TABLE obligor.alert_step DROP CONSTRAINT alert_step_is_known")
    op.execute(_STEPS.format(f"{_BEFORE}, 'examined'"))
    op.execute("""
        ALTER TABLE obligor.alert_step ADD COLUMN finding text
            CONSTRAINT alert_step_finding_is_known CHECK (finding IN ('somebody_else', 'due_diligence'))
    """)


def downgrade() -> None:
    """Take them away, where nothing was found."""
    found = "SELECT EXISTS (SELECT FROM obligor.alert_step WHERE finding IS NOT NULL)"
    if op.get_bind().execute(text(found)).scalar_one():
        raise RuntimeError("the store holds what was found of politically exposed persons; that is not taken away")
    op.execute("ALTER TABLE obligor.alert_step DROP COLUMN finding")
    op.execute("ALTER TABLE obligor.alert_step DROP CONSTRAINT alert_step_is_known")
    op.execute(_STEPS.format(_BEFORE))
