"""A client's searches may ask for what stands of its decisions, and see what people said of no other's."""

from __future__ import annotations

from alembic import op

revision = "0033"
down_revision = "0032"
branch_labels = None
depends_on = None

_ITS_OWN = "client_id = current_setting('obligor.client', true)"
_ANYBODY_ELSE = "current_user <> 'obligor_reader'"
# Whose what came of a review is, the review says, which is under its own policy.
_POLICIES = {
    "override": _ITS_OWN,
    "review": _ITS_OWN,
    "review_decision": "EXISTS (SELECT FROM obligor.review WHERE review.review_id = review_decision.review_id)",
}
_TABLES = ", ".join(f"obligor.{table}" for table in _POLICIES)


def upgrade() -> None:
    """Let the reader read them, under policies as of decisions; a version of before never reads them as the reader."""
    for table, own in _POLICIES.items():
        op.execute(f"ALTER TABLE obligor.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON obligor.{table} FOR SELECT TO obligor_reader USING ({own})")
        op.execute(f"CREATE POLICY every_row ON obligor.{table} USING ({_ANYBODY_ELSE}) WITH CHECK ({_ANYBODY_ELSE})")
    op.execute(f"GRANT SELECT ON {_TABLES} TO obligor_reader")


def downgrade() -> None:
    """Take the right and the policies away."""
    op.execute(f"REVOKE SELECT ON {_TABLES} FROM obligor_reader")  # noqa: S608  names of our own
    for table in _POLICIES:
        op.execute(f"DROP POLICY own_rows ON obligor.{table}")
        op.execute(f"DROP POLICY every_row ON obligor.{table}")
        op.execute(f"ALTER TABLE obligor.{table} DISABLE ROW LEVEL SECURITY")
