"""An API key may be bound to networks."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: a version that does not know it leaves it alone, and makes keys that are bound to none."""
    op.execute("ALTER TABLE obligor.api_key ADD COLUMN networks text[] NOT NULL DEFAULT '{}'")


def downgrade() -> None:
    """Take it away, where no key is bound."""
    bound = "SELECT EXISTS (SELECT FROM obligor.api_key WHERE networks <> '{}')"
    if op.get_bind().execute(text(bound)).scalar_one():
        raise RuntimeError("the store holds keys that are bound to networks, and would open from anywhere")
    op.execute("ALTER TABLE obligor.api_key DROP COLUMN networks")
