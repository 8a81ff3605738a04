"""A proposal may be taken back, and nothing follows its end."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_STEPS = "ALTER TABLE obligor.proposal ADD CONSTRAINT proposal_step_is_known CHECK (step IN ({}))"
_BEFORE = "'proposed', 'agreed', 'done'"
_COMMENT_BEFORE = (
    "Acts that take two people: proposed by one, agreed to by another, done by the first; one row for each step."
)
_COMMENT = (
    "Acts that take two people: one proposes, another agrees, the first does it or takes it back; a row for each step."
)
# Who adds a step has read those before in another round trip. Steps are added one after another, under the head of the log.
_REFUSE = """
    CREATE FUNCTION obligor.refuse_after_the_end() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM obligor.proposal WHERE proposal_id = NEW.proposal_id AND step IN ('done', 'withdrawn')
        ) THEN
            RAISE EXCEPTION 'the proposal was done or taken back'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'nothing_follows_the_end';
        END IF;
        RETURN NEW;
    END
    $$
"""


def upgrade() -> None:
    """Take the step that ends a proposal undone, and refuse any after an end."""
    op.execute("ALTER TABLE obligor.proposal DROP CONSTRAINT proposal_step_is_known")
    op.execute(_STEPS.format(f"{_BEFORE}, 'withdrawn'"))
    op.execute(f"COMMENT ON TABLE obligor.proposal IS '{_COMMENT}'")
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER nothing_follows_the_end BEFORE INSERT ON obligor.proposal FOR EACH ROW "
        "EXECUTE FUNCTION obligor.refuse_after_the_end()"
    )


def downgrade() -> None:
    """Take it away, where nothing was withdrawn."""
    withdrawn = "SELECT EXISTS (SELECT FROM obligor.proposal WHERE step = 'withdrawn')"
    if op.get_bind().execute(text(withdrawn)).scalar_one():
        raise RuntimeError("the store holds which proposals were withdrawn; that is not taken away")
    op.execute("DROP TRIGGER nothing_follows_the_end ON obligor.proposal")
    op.execute("DROP FUNCTION obligor.refuse_after_the_end()")
    op.execute(f"COMMENT ON TABLE obligor.proposal IS '{_COMMENT_BEFORE}'")
    op.execute("ALTER TABLE obligor.proposal DROP CONSTRAINT proposal_step_is_known")
    op.execute(_STEPS.format(_BEFORE))
