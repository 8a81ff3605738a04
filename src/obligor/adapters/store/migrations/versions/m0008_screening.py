"""Lists that were loaded, alerts, what came of them, and how far screening again has come."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE obligor.screening_list (
        leaf_index bigint CONSTRAINT screening_list_pkey PRIMARY KEY,
        list_sha256 text NOT NULL,
        source text NOT NULL,
        published date NOT NULL,
        entries integer NOT NULL,
        loaded_at timestamptz NOT NULL,
        by text NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.alert (
        alert_id uuid CONSTRAINT alert_pkey PRIMARY KEY,
        decision_id uuid NOT NULL,
        client_id text NOT NULL,
        subject bytea NOT NULL,
        entry text NOT NULL,
        entry_sha256 text NOT NULL,
        score integer NOT NULL,
        list_sha256 text NOT NULL,
        opened_at timestamptz NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT alert_leaf_index_key UNIQUE
    )
    """,
    "CREATE INDEX alert_subject ON obligor.alert (subject)",
    """
    CREATE TABLE obligor.alert_step (
        alert_id uuid,
        step text CONSTRAINT alert_step_is_known CHECK (step IN ('proposed', 'cleared')),
        because text NOT NULL,
        until timestamptz NOT NULL,
        at timestamptz NOT NULL,
        by text NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT alert_step_leaf_index_key UNIQUE,
        CONSTRAINT alert_step_pkey PRIMARY KEY (alert_id, step)
    )
    """,
    """
    CREATE TABLE obligor.screening_progress (
        list_sha256 text CONSTRAINT screening_progress_pkey PRIMARY KEY,
        began bigint NOT NULL,
        past bigint NOT NULL,
        fresh bigint NOT NULL,
        screened bigint NOT NULL,
        opened bigint NOT NULL,
        not_comparable bigint NOT NULL,
        at timestamptz NOT NULL
    )
    """,
)
_COMMENTS = {
    "screening_list": "Which lists of names were loaded; the last one is screened against. What it says is an artefact.",
    "alert": "Whose name is alike to which entry of a list; a person is named by a keyed hash, the score in ten-thousandths.",
    "alert_step": "Who cleared an alert, or proposed to, why, and until when the hit does not count for this person.",
    "screening_progress": "How far the decisions of the store were screened against a list: those of before it came, and those "
    "since.",
}


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")


def downgrade() -> None:
    """Take the tables away, where no list was loaded."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.screening_list)")).scalar_one():
        raise RuntimeError("the store holds lists and perhaps alerts; they are not taken away")
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
