"""Indexes by which the alerts of a decision, and what was said of few of them, are found among many."""

from __future__ import annotations

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Without the first, every alert was looked at to tell whether one person may be erased, while the log waited."""
    op.execute("CREATE INDEX alert_decision ON obligor.alert (decision_id)")
    op.execute("CREATE INDEX alert_step_confirmed ON obligor.alert_step (alert_id) WHERE step = 'confirmed'")
    op.execute("CREATE INDEX alert_step_until ON obligor.alert_step (until) WHERE step IN ('cleared', 'corrected')")
    op.execute("CREATE INDEX erasure_at ON obligor.erasure (at)")


def downgrade() -> None:
    """Take the indexes away."""
    for name in ("alert_decision", "alert_step_confirmed", "alert_step_until", "erasure_at"):
        op.execute(f"DROP INDEX obligor.{name}")
