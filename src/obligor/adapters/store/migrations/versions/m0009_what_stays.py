"""What was taken away stays so, whoever writes late; and evidence of an identity is for one applicant."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TABLE = """
    CREATE TABLE obligor.kyc_evidence (
        evidence_hash bytea CONSTRAINT kyc_evidence_pkey PRIMARY KEY,
        subject_hash bytea NOT NULL,
        at timestamptz NOT NULL
    )
"""
_COMMENT = (
    "For whom evidence of an identity was shown first: hashes under a key of the deployment, which tell nothing "
    "without it."
)
# Who changes a row has read it before, and somebody else may have changed it since. What one reads and what one writes are two
# round trips to the store; what is held here holds at the instant of the write, for every writer.
_STAYS = {
    "api_key": "OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at",
    "app_user": "NEW.created_at <> OLD.created_at OR (OLD.disabled_at IS NOT NULL AND NEW.disabled_at IS NULL)",
    # The first administrator is named by one person, who may have been one before.
    "user_role": """(OLD.state = 'revoked' AND NEW.state = 'granted' AND NEW.proposed_by <> NEW.by)
        OR (OLD.state = 'granted' AND NEW.state = 'proposed')""",
    "webhook_endpoint": "OLD.state = 'disabled' AND NEW.state = 'active'",
}
_REFUSE = """
    CREATE FUNCTION obligor.refuse_to_give_back() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        RAISE EXCEPTION 'what was taken away in obligor.% stays so', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation', CONSTRAINT = 'what_was_taken_away_stays_so';
    END
    $$
"""


def upgrade() -> None:
    """Make the table and the triggers."""
    op.execute(_TABLE)
    op.execute(f"COMMENT ON TABLE obligor.kyc_evidence IS '{_COMMENT}'")
    op.execute(_REFUSE)
    for table, wrong in _STAYS.items():
        op.execute(
            f"CREATE TRIGGER what_was_taken_away_stays_so BEFORE UPDATE ON obligor.{table} FOR EACH ROW WHEN ({wrong}) "
            "EXECUTE FUNCTION obligor.refuse_to_give_back()"
        )


def downgrade() -> None:
    """Take them away, where no evidence was shown."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.kyc_evidence)")).scalar_one():
        raise RuntimeError("the store holds for whom evidence was shown; that is not taken away")
    for table in _STAYS:
        op.execute(f"DROP TRIGGER what_was_taken_away_stays_so ON obligor.{table}")
    op.execute("DROP FUNCTION obligor.refuse_to_give_back()")
    op.execute("DROP TABLE obligor.kyc_evidence")
