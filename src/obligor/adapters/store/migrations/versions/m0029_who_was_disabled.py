"""Who was disabled meanwhile disables nobody: of two who disable each other at once, one stays."""

from __future__ import annotations

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

# Who disables somebody was let in a round trip before. What stands here is looked at once the head of the log is held, so that
# of two administrators who disable each other the second is nobody by then; the leaf names who acts.
_REFUSE = """
    CREATE FUNCTION obligor.refuse_who_was_disabled() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        IF EXISTS (
            SELECT FROM obligor.app_user AS actor
            WHERE disabled_at IS NOT NULL AND user_id = (
                SELECT substr(convert_from(body, 'UTF8')::json ->> 'by', length('person:') + 1)
                FROM obligor.leaf WHERE index = NEW.leaf_index
            )
        ) THEN
            RAISE EXCEPTION 'who disables somebody was disabled meanwhile'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'who_was_disabled_disables_nobody';
        END IF;
        RETURN NEW;
    END
    $$
"""


def upgrade() -> None:
    """Refuse what somebody does who was disabled."""
    op.execute(_REFUSE)
    op.execute(
        "CREATE TRIGGER who_was_disabled_disables_nobody BEFORE UPDATE ON obligor.app_user FOR EACH ROW "
        "WHEN (OLD.disabled_at IS NULL AND NEW.disabled_at IS NOT NULL) EXECUTE FUNCTION obligor.refuse_who_was_disabled()"
    )


def downgrade() -> None:
    """Take that away; who was disabled stays so."""
    op.execute("DROP TRIGGER who_was_disabled_disables_nobody ON obligor.app_user")
    op.execute("DROP FUNCTION obligor.refuse_who_was_disabled()")
