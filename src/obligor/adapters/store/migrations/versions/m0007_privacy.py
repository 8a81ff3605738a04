"""The keys of personal data: those of the deployment, those of subjects, holds and erasures."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE obligor.keyring (
        purpose text,
        version integer,
        wrapped bytea,
        proof bytea NOT NULL,
        created_at timestamptz NOT NULL,
        retired_at timestamptz,
        CONSTRAINT keyring_pkey PRIMARY KEY (purpose, version),
        CONSTRAINT retired_is_gone CHECK ((wrapped IS NULL) = (retired_at IS NOT NULL))
    )
    """,
    """
    CREATE TABLE obligor.subject_key (
        key_id bytea CONSTRAINT subject_key_pkey PRIMARY KEY,
        subject bytea NOT NULL,
        version integer,
        wrapped bytea,
        created_at timestamptz NOT NULL,
        destroyed_at timestamptz,
        CONSTRAINT destroyed_is_gone CHECK (
            (destroyed_at IS NULL) = (version IS NOT NULL) AND (destroyed_at IS NULL) = (wrapped IS NOT NULL)
        )
    )
    """,
    "CREATE INDEX subject_key_subject ON obligor.subject_key (subject)",
    "CREATE INDEX subject_key_version ON obligor.subject_key (version)",
    """
    CREATE TABLE obligor.erasure (
        subject bytea CONSTRAINT erasure_pkey PRIMARY KEY,
        at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.legal_hold (
        subject bytea CONSTRAINT legal_hold_pkey PRIMARY KEY,
        because text NOT NULL,
        placed_at timestamptz NOT NULL,
        by text NOT NULL,
        released_at timestamptz
    )
    """,
)
_COMMENTS = {
    "keyring": "The keys that wrap the keys of subjects, and the one that names them, wrapped by the KMS.",
    "subject_key": "The keys that personal data are sealed by, wrapped. One that was destroyed stays as a row without a key.",
    "erasure": "When the keys of a subject were destroyed, the last time.",
    "legal_hold": "Who may not be erased, and why.",
}


def upgrade() -> None:
    """Make the tables, and the column that decisions of one subject are found by."""
    for statement in _TABLES:
        op.execute(statement)
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")
    op.execute("ALTER TABLE obligor.decision ADD COLUMN subject bytea")
    op.execute("CREATE INDEX decision_subject ON obligor.decision (subject, leaf_index)")


def downgrade() -> None:
    """Take them away, where no key is kept that something was sealed by."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.keyring)")).scalar_one():
        raise RuntimeError("the store holds keys; they are not taken away")
    op.execute("DROP INDEX obligor.decision_subject")
    op.execute("ALTER TABLE obligor.decision DROP COLUMN subject")
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
