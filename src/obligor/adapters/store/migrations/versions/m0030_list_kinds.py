"""A list of names is of sanctions, or of politically exposed persons."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

_COMMENT = "Which lists of names were loaded; the last one{} is screened against. What it says is an artefact."


def upgrade() -> None:
    """Add the column: a version that does not know it loads lists of sanctions, and takes up no other."""
    op.execute("""
        ALTER TABLE obligor.screening_list ADD COLUMN list_kind text NOT NULL DEFAULT 'sanctions'
            CONSTRAINT screening_list_kind_is_known CHECK (list_kind IN ('sanctions', 'pep'))
    """)
    op.execute(f"COMMENT ON TABLE obligor.screening_list IS '{_COMMENT.format(' of each kind')}'")


def downgrade() -> None:
    """Take it away, where only lists of sanctions were loaded."""
    others = "SELECT EXISTS (SELECT FROM obligor.screening_list WHERE list_kind <> 'sanctions')"
    if op.get_bind().execute(text(others)).scalar_one():
        raise RuntimeError(
            "the store holds lists of politically exposed persons, and would take one for a list of sanctions"
        )
    op.execute("ALTER TABLE obligor.screening_list DROP COLUMN list_kind")
    op.execute(f"COMMENT ON TABLE obligor.screening_list IS '{_COMMENT.format('')}'")
