"""Applications that belong together are linked, by marks of what they say; both go with the person."""

from __future__ import annotations

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

_TABLES = {
    "link_mark": """(
        leaf_index bigint,
        kind text,
        mark bytea NOT NULL,
        beside bytea NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT link_mark_pkey PRIMARY KEY (leaf_index, kind),
        CONSTRAINT link_mark_kind CHECK (kind IN ('application', 'person', 'number', 'named'))
    )""",
    "link": """(
        leaf_index bigint,
        why text,
        other_index bigint NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT link_pkey PRIMARY KEY (leaf_index, why),
        CONSTRAINT link_why CHECK (why IN ('repeated', 'contradicting', 'velocity', 'other_person', 'other_number'))
    )""",
    "link_progress": """(
        one boolean CONSTRAINT link_progress_pkey PRIMARY KEY CONSTRAINT link_progress_one_row CHECK (one),
        next bigint NOT NULL,
        at timestamptz
    )""",
}
_COMMENTS = {
    "link_mark": "By what an application is alike to others of its client, and what is then compared: keyed hashes.",
    "link": "Which decision was linked to which earlier one, by their leaves, and why.",
    "link_progress": "One row: the leaf from which on decisions are still to be linked.",
}
# Whoever erases destroys a key, and whoever links holds the same lock: no mark is kept of a person after they were erased.
_FORGET = """
    CREATE FUNCTION obligor.forget_links() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$
    DECLARE
        leaves bigint[] := ARRAY(SELECT leaf_index FROM obligor.decision WHERE subject = NEW.subject);
    BEGIN
        PERFORM pg_advisory_xact_lock(hashtext('obligor'), hashtext('links'));
        DELETE FROM obligor.link_mark WHERE leaf_index = ANY (leaves);
        DELETE FROM obligor.link WHERE leaf_index = ANY (leaves);
        DELETE FROM obligor.link WHERE other_index = ANY (leaves);
        RETURN NULL;
    END
    $$
"""


def upgrade() -> None:
    """Make the tables; a version of before links nothing, and who erases by it takes the links, too."""
    for table, columns in _TABLES.items():
        op.execute(f"CREATE TABLE obligor.{table} {columns}")
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{_COMMENTS[table]}'")
    op.execute("CREATE INDEX link_mark_mark ON obligor.link_mark (mark, leaf_index)")
    op.execute("CREATE INDEX link_other ON obligor.link (other_index)")
    op.execute("INSERT INTO obligor.link_progress (one, next) VALUES (true, 0)")
    op.execute("GRANT UPDATE ON obligor.link_progress TO obligor_service")
    op.execute(_FORGET)
    op.execute(
        "CREATE TRIGGER forget_links AFTER UPDATE OF destroyed_at ON obligor.subject_key FOR EACH ROW "
        "WHEN (OLD.destroyed_at IS NULL AND NEW.destroyed_at IS NOT NULL) EXECUTE FUNCTION obligor.forget_links()"
    )


def downgrade() -> None:
    """Take it all away; decisions are linked anew by a version that links."""
    op.execute("DROP TRIGGER forget_links ON obligor.subject_key")
    op.execute("DROP FUNCTION obligor.forget_links()")
    for table in _TABLES:
        op.execute(f"DROP TABLE obligor.{table}")
