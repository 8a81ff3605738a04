"""What is over is told from what is open: events, by when they were settled; reviews; alerts."""

from __future__ import annotations

from alembic import op

from obligor.adapters.store.migrations.indexes import create_concurrently

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.outbox_pruned (
        one boolean CONSTRAINT outbox_pruned_pkey PRIMARY KEY CONSTRAINT outbox_pruned_one_row CHECK (one),
        before timestamptz NOT NULL CONSTRAINT outbox_pruned_before CHECK (isfinite(before))
    )
"""
_COMMENT = (
    "One row, once it is pruned: events that were settled before then are gone, but for those under a legal hold."
)
# For each table what closes its rows, which a trigger notes: a version of before does not know of the column. Who may add a row
# to the one table need not be able to change the other. A table is locked before that of its ends, as by who records.
_CLOSED_BY = {
    "review": ("review_decision", "true", "(due_at)"),
    "alert": ("alert_step", "NEW.step IN ('cleared', 'corrected')", "(score DESC)"),
}
_CLOSE = """
    CREATE FUNCTION obligor.close_{table}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    BEGIN
        UPDATE obligor.{table} SET closed = true WHERE {table}_id = NEW.{table}_id AND NOT closed;
        RETURN NULL;
    END
    $$
"""


def upgrade() -> None:
    """Make the table and the index; a version of before prunes nothing, and finds all that it looks for."""
    create_concurrently("delivery_settled", "delivery (settled_at) WHERE settled_at IS NOT NULL")
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.outbox_pruned IS '{_COMMENT}'")
    op.execute("GRANT UPDATE ON obligor.outbox_pruned TO obligor_service")
    op.execute("GRANT UPDATE (payload) ON obligor.outbox TO obligor_service")
    op.execute("GRANT DELETE ON obligor.outbox, obligor.delivery TO obligor_service")
    for table, (ends, when, order) in _CLOSED_BY.items():
        op.execute(f"ALTER TABLE obligor.{table} ADD closed boolean NOT NULL DEFAULT false")
        op.execute(_CLOSE.format(table=table))
        op.execute(
            f"CREATE TRIGGER close_{table} AFTER INSERT ON obligor.{ends} FOR EACH ROW WHEN ({when}) "
            f"EXECUTE FUNCTION obligor.close_{table}()"
        )
        op.execute(
            f"UPDATE obligor.{table} SET closed = true FROM obligor.{ends} AS new "  # noqa: S608  words of our own
            f"WHERE new.{table}_id = {table}.{table}_id AND {when.replace('NEW', 'new')}"
        )
        op.execute(f"CREATE INDEX {table}_open ON obligor.{table} {order} WHERE NOT closed")


def downgrade() -> None:
    """Take it all away; a doctor of before tells of decisions whose events were pruned."""
    for table, (ends, _, _) in _CLOSED_BY.items():
        op.execute(f"DROP TRIGGER close_{table} ON obligor.{ends}")
        op.execute(f"DROP FUNCTION obligor.close_{table}()")
        op.execute(f"ALTER TABLE obligor.{table} DROP closed")
    op.execute("REVOKE UPDATE (payload) ON obligor.outbox FROM obligor_service")
    op.execute("REVOKE DELETE ON obligor.outbox, obligor.delivery FROM obligor_service")
    op.execute("DROP INDEX obligor.delivery_settled")
    op.execute("DROP TABLE obligor.outbox_pruned")
