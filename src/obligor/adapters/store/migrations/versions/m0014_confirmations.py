"""An alert may be confirmed, and is not cleared then, but by a correction."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_STEPS = "ALTER TABLE obligor.alert_step ADD CONSTRAINT alert_step_is_known CHECK (step IN ({}))"
_BEFORE = "'proposed', 'cleared'"
_COMMENT_BEFORE = "Who cleared an alert, or proposed to, why, and until when the hit does not count for this person."
_COMMENT = (
    "Who cleared an alert, or confirmed it, or proposed to clear it after all, why, and until when the hit does not "
    "count for this person."
)
# Who adds a step has read those before in another round trip, or is of a version that knows of no confirmations. Steps are
# added one after another, under the head of the log.
_KEEP = """
    CREATE FUNCTION obligor.keep_confirmations() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    DECLARE
        before CONSTANT text[] := ARRAY(SELECT step FROM obligor.alert_step WHERE alert_id = NEW.alert_id);
    BEGIN
        IF (NEW.step = 'confirmed' AND 'cleared' = ANY (before))
            OR (NEW.step IN ('proposed', 'cleared') AND 'confirmed' = ANY (before))
            OR (NEW.step = 'doubted' AND 'confirmed' <> ALL (before))
            OR (NEW.step = 'corrected' AND 'doubted' <> ALL (before))
        THEN
            RAISE EXCEPTION 'the alert was cleared or confirmed'
                USING ERRCODE = 'restrict_violation', CONSTRAINT = 'confirmations_are_kept';
        END IF;
        RETURN NEW;
    END
    $$
"""


def upgrade() -> None:
    """Take the steps of a confirmation, and refuse what contradicts one."""
    op.execute("ALTER TABLE obligor.alert_step DROP CONSTRAINT alert_step_is_known")
    op.execute(_STEPS.format(f"{_BEFORE}, 'confirmed', 'doubted', 'corrected'"))
    op.execute("ALTER TABLE obligor.alert_step ALTER COLUMN until DROP NOT NULL")
    op.execute(
        "ALTER TABLE obligor.alert_step ADD CONSTRAINT alert_step_ends CHECK ((step = 'confirmed') = (until IS NULL))"
    )
    op.execute(f"COMMENT ON TABLE obligor.alert_step IS '{_COMMENT}'")
    op.execute(_KEEP)
    op.execute(
        "CREATE TRIGGER confirmations_are_kept BEFORE INSERT ON obligor.alert_step FOR EACH ROW "
        "EXECUTE FUNCTION obligor.keep_confirmations()"
    )


def downgrade() -> None:
    """Take them away, where nothing was confirmed."""
    confirmed = "SELECT EXISTS (SELECT FROM obligor.alert_step WHERE step = 'confirmed')"
    if op.get_bind().execute(text(confirmed)).scalar_one():
        raise RuntimeError("the store holds which matches were confirmed; that is not taken away")
    op.execute("DROP TRIGGER confirmations_are_kept ON obligor.alert_step")
    op.execute("DROP FUNCTION obligor.keep_confirmations()")
    op.execute(f"COMMENT ON TABLE obligor.alert_step IS '{_COMMENT_BEFORE}'")
    op.execute("ALTER TABLE obligor.alert_step DROP CONSTRAINT alert_step_ends")
    op.execute("ALTER TABLE obligor.alert_step ALTER COLUMN until SET NOT NULL")
    op.execute("ALTER TABLE obligor.alert_step DROP CONSTRAINT alert_step_is_known")
    op.execute(_STEPS.format(_BEFORE))
