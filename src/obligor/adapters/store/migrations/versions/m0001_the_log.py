"""The log, what is searched in it, and what is in force."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE obligor.leaf (
        index bigint CONSTRAINT leaf_pkey PRIMARY KEY,
        kind text NOT NULL,
        body bytea NOT NULL,
        hash bytea NOT NULL CONSTRAINT hash_is_sha256 CHECK (octet_length(hash) = 32)
    )
    """,
    """
    CREATE TABLE obligor.record (
        leaf_index bigint CONSTRAINT record_pkey PRIMARY KEY,
        body bytea NOT NULL,
        salt bytea NOT NULL
    ) WITH (toast_tuple_target = 8160)
    """,  # a record of two to eight kilobytes is not compressed: that took as long as all else that is done with it
    """
    CREATE TABLE obligor.node (
        level smallint,
        index bigint,
        hash bytea NOT NULL CONSTRAINT hash_is_sha256 CHECK (octet_length(hash) = 32),
        CONSTRAINT node_pkey PRIMARY KEY (level, index)
    )
    """,
    """
    CREATE TABLE obligor.tree_head (
        one boolean CONSTRAINT tree_head_pkey PRIMARY KEY CONSTRAINT one_row CHECK (one),
        size bigint NOT NULL,
        at timestamptz
    )
    """,
    "INSERT INTO obligor.tree_head (one, size) VALUES (true, 0)",
    """
    CREATE TABLE obligor.decision (
        decision_id uuid CONSTRAINT decision_pkey PRIMARY KEY,
        leaf_index bigint NOT NULL CONSTRAINT decision_leaf_index_key UNIQUE,
        client_id text NOT NULL,
        application_id text,
        decided_at timestamptz NOT NULL,
        outcome text NOT NULL,
        band text NOT NULL,
        score integer NOT NULL
    )
    """,
    "CREATE INDEX decision_client ON obligor.decision (client_id, leaf_index)",
    "CREATE INDEX decision_application ON obligor.decision (application_id, leaf_index)",
    """
    CREATE TABLE obligor.request (
        client_id text,
        route text,
        key text,
        payload_sha256 bytea NOT NULL,
        status smallint NOT NULL,
        response bytea NOT NULL,
        leaf_index bigint NOT NULL,
        at timestamptz NOT NULL,
        CONSTRAINT request_pkey PRIMARY KEY (client_id, route, key)
    )
    """,
    """
    CREATE TABLE obligor.outcome (
        report_id uuid CONSTRAINT outcome_pkey PRIMARY KEY,
        decision_id uuid NOT NULL,
        leaf_index bigint NOT NULL CONSTRAINT outcome_leaf_index_key UNIQUE,
        status text NOT NULL,
        observed_on date NOT NULL
    )
    """,
    "CREATE INDEX outcome_decision ON obligor.outcome (decision_id, leaf_index)",
    """
    CREATE TABLE obligor.artefact (
        sha256 text CONSTRAINT artefact_pkey PRIMARY KEY,
        kind text NOT NULL,
        body bytea NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.release (
        number bigint CONSTRAINT release_pkey PRIMARY KEY,
        leaf_index bigint NOT NULL CONSTRAINT release_leaf_index_key UNIQUE,
        card_sha256 text NOT NULL,
        policy_sha256 text NOT NULL,
        profile_sha256 text NOT NULL,
        at timestamptz NOT NULL,
        by text NOT NULL,
        statement bytea NOT NULL,
        signature bytea NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.api_key (
        key_id text CONSTRAINT api_key_pkey PRIMARY KEY,
        client_id text NOT NULL,
        name text NOT NULL,
        scopes text[] NOT NULL,
        secret_sha256 bytea NOT NULL CONSTRAINT secret_sha256_is_sha256 CHECK (octet_length(secret_sha256) = 32),
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        revoked_at timestamptz,
        leaf_index bigint NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.checkpoint (
        size bigint CONSTRAINT checkpoint_pkey PRIMARY KEY,
        at timestamptz NOT NULL,
        note bytea NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.anchoring (
        anchor text,
        size bigint,
        at timestamptz NOT NULL,
        CONSTRAINT anchoring_pkey PRIMARY KEY (anchor, size)
    )
    """,
)
_REFUSE = """
    CREATE FUNCTION obligor.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
    BEGIN
        RAISE EXCEPTION 'rows of obligor.% are added, never changed', TG_TABLE_NAME
            USING ERRCODE = 'restrict_violation';
    END
    $$
"""
_APPEND_ONLY = """
    CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON obligor.{table}
    FOR EACH STATEMENT EXECUTE FUNCTION obligor.refuse_change()
"""
_COMMENTS = {
    "leaf": "The audit log: one act in each row, told without what is private. Rows are added, never changed.",
    "record": "What a leaf commits to: the whole act, private. Rows are added, never changed.",
    "node": "The roots of complete subtrees of 256^level leaves, so that a proof reads few rows.",
    "tree_head": "One row: how many leaves there are, and the time of the last. Who writes holds it.",
    "decision": "What a decision is searched by; the score is in thousandths.",
    "request": "The answer of every request, by its idempotency key: sent again, it is answered with the same bytes.",
    "outcome": "What became of a loan, as the client reported it.",
    "artefact": "The bytes of cards, policies and profiles, by the hash of what they say.",
    "release": "Which card, policy and profile were put in force together; the one with the highest number is.",
    "api_key": "The API keys of clients; of a secret only its hash is kept. The leaf is that of the last change.",
    "checkpoint": "Signed heads of the log, as notes that anchors keep too.",
    "anchoring": "Which checkpoint was handed to which anchor, and when.",
}


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES:
        op.execute(statement)
    op.execute(_REFUSE)
    for table in ("leaf", "record"):
        op.execute(_APPEND_ONLY.format(table=table))
        op.execute(f"ALTER TABLE obligor.{table} ENABLE ALWAYS TRIGGER append_only")  # not even for a replica
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")


def downgrade() -> None:
    """Take the tables away, where they hold no act."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.leaf)")).scalar_one():
        raise RuntimeError("the store holds acts; it is not taken away")
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
    op.execute("DROP FUNCTION obligor.refuse_change()")
