"""A role changes from the state that it is in, and not from the one that somebody saw it in."""

from __future__ import annotations

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

# Who changes a role has looked at it in another round trip. What two do to it at once would both be done: a role would be
# granted of a proposal that was taken back meanwhile, or of one's own. The first two administrators are granted by one person.
_REFUSE = """
    CREATE FUNCTION obligor.refuse_out_of_turn() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        RAISE EXCEPTION 'the role was changed meanwhile'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'changes_in_turn';
    END
    $$
"""
_OUT_OF_TURN = """
    NEW.state = OLD.state
    OR (NEW.state = 'proposed' AND OLD.state = 'granted')
    OR (NEW.state = 'granted' AND OLD.state = 'proposed' AND NEW.proposed_by <> OLD.proposed_by)
    OR (NEW.state = 'granted' AND OLD.state = 'revoked' AND NEW.proposed_by <> NEW.by)
"""


def upgrade() -> None:
    """Refuse a change that does not follow the one before."""
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER changes_in_turn BEFORE UPDATE ON obligor.user_role FOR EACH ROW "
        f"WHEN ({_OUT_OF_TURN}) EXECUTE FUNCTION obligor.refuse_out_of_turn()"
    )


def downgrade() -> None:
    """Take that away; roles stay as they are."""
    op.execute("DROP TRIGGER changes_in_turn ON obligor.user_role")
    op.execute("DROP FUNCTION obligor.refuse_out_of_turn()")
