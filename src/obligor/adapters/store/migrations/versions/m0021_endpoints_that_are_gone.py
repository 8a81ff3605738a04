"""An endpoint may be gone: its receiver said so, and a person brings it back."""

from __future__ import annotations

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Allow the state; a version of before takes it for one in which nothing is sent."""
    _allow("'active', 'disabled', 'gone'")


def downgrade() -> None:
    """Refuse it again, where no endpoint is in it."""
    _allow("'active', 'disabled'")


def _allow(states: str) -> None:
    op.execute(
        "ALTER TABLE obligor.webhook_endpoint DROP CONSTRAINT webhook_endpoint_state, "
        f"ADD CONSTRAINT webhook_endpoint_state CHECK (state IN ({states}))"
    )
