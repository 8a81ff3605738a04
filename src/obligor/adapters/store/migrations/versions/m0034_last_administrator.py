"""An administrator stays, and roles are changed by nobody who was disabled meanwhile."""

from __future__ import annotations

from alembic import op

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None

# Who acts looked at people in another round trip. What stands here is looked at once the head of the log is held, so that of
# two who take each other's role away, or give up their own, at once the second sees what the first did. Who never was an
# administrator of this store acts by the word of an identity provider, which knows others. The leaf names who acts. The last
# one stays where nobody else is, too: whoever was added afterwards could not give themselves a role, nor add anybody.
_LAST = """
    CREATE FUNCTION obligor.refuse_to_leave_no_administrator() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog AS $$
    BEGIN
        IF NOT EXISTS (
            SELECT FROM obligor.user_role JOIN obligor.app_user USING (user_id)
            WHERE role = 'admin' AND state = 'granted' AND disabled_at IS NULL
        ) AND EXISTS (
            SELECT FROM obligor.user_role
            WHERE user_id = NEW.user_id AND role = 'admin' AND (state = 'granted' OR TG_TABLE_NAME = 'user_role')
        ) AND EXISTS (
            SELECT FROM obligor.user_role WHERE role = 'admin' AND state <> 'proposed' AND user_id = (
                SELECT substr(convert_from(body, 'UTF8')::json ->> 'by', length('person:') + 1)
                FROM obligor.leaf WHERE index = NEW.leaf_index
            )
        ) THEN
            RAISE EXCEPTION 'no administrator would be left'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'an_administrator_stays';
        END IF;
        RETURN NULL;
    END
    $$
"""
_ALONE = """
    CREATE FUNCTION obligor.refuse_a_third_alone() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF 2 <= (
            SELECT count(*) FROM obligor.user_role
            WHERE role = NEW.role AND state <> 'proposed' AND user_id <> NEW.user_id
        ) THEN
            RAISE EXCEPTION 'two administrators have been made meanwhile'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'two_are_granted_by_one';
        END IF;
        RETURN NEW;
    END
    $$
"""


def upgrade() -> None:
    """Refuse to leave nobody, a third administrator by one person alone, and a role by who was disabled."""
    op.execute(_LAST)
    op.execute(_ALONE)
    op.execute(
        "CREATE TRIGGER an_administrator_stays AFTER UPDATE ON obligor.user_role FOR EACH ROW "
        "WHEN (OLD.role = 'admin' AND OLD.state = 'granted' AND NEW.state = 'revoked') "
        "EXECUTE FUNCTION obligor.refuse_to_leave_no_administrator()"
    )
    op.execute(
        "CREATE TRIGGER an_administrator_stays AFTER UPDATE ON obligor.app_user FOR EACH ROW "
        "WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) "
        "EXECUTE FUNCTION obligor.refuse_to_leave_no_administrator()"
    )
    op.execute(
        "CREATE TRIGGER two_are_granted_by_one BEFORE INSERT ON obligor.user_role FOR EACH ROW "
        "WHEN (NEW.role = 'admin' AND NEW.state = 'granted' AND NEW.proposed_by = NEW.by) "
        "EXECUTE FUNCTION obligor.refuse_a_third_alone()"
    )
    op.execute(
        "CREATE TRIGGER who_was_disabled_changes_no_role BEFORE INSERT OR UPDATE ON obligor.user_role FOR EACH ROW "
        "EXECUTE FUNCTION obligor.refuse_who_was_disabled()"
    )


def downgrade() -> None:
    """Take that away; people and roles stay as they are."""
    op.execute("DROP TRIGGER who_was_disabled_changes_no_role ON obligor.user_role")
    op.execute("DROP TRIGGER two_are_granted_by_one ON obligor.user_role")
    for table in ("user_role", "app_user"):
        op.execute(f"DROP TRIGGER an_administrator_stays ON obligor.{table}")
    op.execute("DROP FUNCTION obligor.refuse_a_third_alone()")
    op.execute("DROP FUNCTION obligor.refuse_to_leave_no_administrator()")
