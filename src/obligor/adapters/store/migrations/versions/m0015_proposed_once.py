"""What somebody proposed, and what is still open, nobody proposes again."""

from __future__ import annotations

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

# Who proposes has looked for the same in another round trip. An index cannot say it, since a proposal ends by time, too.
# Proposals are added one after another, under the head of the log, so that each sees those before it.
_REFUSE = """
    CREATE FUNCTION obligor.refuse_the_same() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM obligor.proposal AS open
            WHERE step = 'proposed' AND kind = NEW.kind AND said = NEW.said AND expires_at > NEW.at AND NOT EXISTS (
                SELECT FROM obligor.proposal AS ended
                WHERE ended.proposal_id = open.proposal_id AND ended.step IN ('done', 'withdrawn')
            )
        ) THEN
            RAISE EXCEPTION 'the same was proposed'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'is_proposed_once';
        END IF;
        RETURN NEW;
    END
    $$
"""


def upgrade() -> None:
    """Refuse a proposal while another of the same is open."""
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER is_proposed_once BEFORE INSERT ON obligor.proposal FOR EACH ROW "
        "WHEN (NEW.step = 'proposed') EXECUTE FUNCTION obligor.refuse_the_same()"
    )


def downgrade() -> None:
    """Take that away; what was proposed stays."""
    op.execute("DROP TRIGGER is_proposed_once ON obligor.proposal")
    op.execute("DROP FUNCTION obligor.refuse_the_same()")
