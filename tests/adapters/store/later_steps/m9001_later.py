"""A step that a later version might bring: a table, a column that may be empty, an index."""

from __future__ import annotations

import os
import signal

from alembic import op

from obligor.adapters.store.migrating import NEWEST

revision = "9001"
down_revision = NEWEST
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("CREATE TABLE obligor.later (number bigint)")
    if os.environ.get("KILLED_AT") == "half-way":
        os.kill(os.getpid(), signal.SIGKILL)
    op.execute("ALTER TABLE obligor.decision ADD COLUMN later text")
    op.execute("CREATE INDEX decision_later ON obligor.decision (later)")


def downgrade() -> None:
    op.execute("DROP INDEX obligor.decision_later")
    op.execute("ALTER TABLE obligor.decision DROP COLUMN later")
    op.execute("DROP TABLE obligor.later")
