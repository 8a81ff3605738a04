"""Acts that take two people, and API keys that are replaced once."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.proposal (
        proposal_id text,
        step text CONSTRAINT proposal_step_is_known CHECK (step IN ('proposed', 'agreed', 'done')),
        kind text NOT NULL,
        said text NOT NULL,
        because text NOT NULL,
        proposed_by text NOT NULL,
        expires_at timestamptz NOT NULL,
        at timestamptz NOT NULL,
        by text NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT proposal_leaf_index_key UNIQUE,
        CONSTRAINT proposal_pkey PRIMARY KEY (proposal_id, step)
    )
"""
_COMMENT = "Acts that take two people: proposed by one, agreed to by another, done by the first; one row for each step."
# What replaced a key stood in the record alone; of two that raced, the later stands.
_KNOWN = """
    UPDATE obligor.api_key SET replaced_by = said.replaced_by
    FROM (
        SELECT DISTINCT ON (key_id) key_id, replaced_by
        FROM obligor.leaf JOIN obligor.record ON leaf_index = index,
            json_to_record(convert_from(record.body, 'UTF8')::json) AS it (key_id text, replaced_by text)
        WHERE kind = 'key.rotated' ORDER BY key_id, index DESC
    ) AS said
    WHERE said.key_id = api_key.key_id
"""


def upgrade() -> None:
    """Make the table, and refuse a second successor of a key."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.proposal IS '{_COMMENT}'")
    op.execute("CREATE INDEX proposal_expires_at ON obligor.proposal (expires_at)")
    op.execute("ALTER TABLE obligor.api_key ADD COLUMN replaced_by text")
    op.execute(_KNOWN)
    op.execute(
        "CREATE TRIGGER is_replaced_once BEFORE UPDATE ON obligor.api_key FOR EACH ROW "
        "WHEN (OLD.replaced_by IS NOT NULL AND NEW.replaced_by IS DISTINCT FROM OLD.replaced_by) "
        "EXECUTE FUNCTION obligor.refuse_to_give_back()"
    )


def downgrade() -> None:
    """Take them away, where nothing was proposed."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.proposal)")).scalar_one():
        raise RuntimeError("the store holds who agreed to what; that is not taken away")
    op.execute("DROP TRIGGER is_replaced_once ON obligor.api_key")
    op.execute("ALTER TABLE obligor.api_key DROP COLUMN replaced_by")
    op.execute("DROP TABLE obligor.proposal")
