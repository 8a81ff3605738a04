"""What is told to the systems of clients: events, where they go, and how far they came."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_STEPS = (
    """
    CREATE TABLE obligor.webhook_endpoint (
        endpoint_id text CONSTRAINT webhook_endpoint_pkey PRIMARY KEY,
        client_id text NOT NULL,
        url text NOT NULL,
        event_types text[] NOT NULL,
        state text NOT NULL CONSTRAINT webhook_endpoint_state CHECK (state IN ('active', 'disabled')),
        secret bytea NOT NULL,
        previous_secret bytea,
        previous_until timestamptz,
        created_at timestamptz NOT NULL,
        leaf_index bigint NOT NULL
    )
    """,
    "CREATE INDEX webhook_endpoint_client ON obligor.webhook_endpoint (client_id)",
    """
    CREATE TABLE obligor.outbox (
        event_id uuid CONSTRAINT outbox_pkey PRIMARY KEY,
        leaf_index bigint NOT NULL CONSTRAINT outbox_leaf_index_key UNIQUE,
        client_id text NOT NULL,
        application_id text,
        sequence bigint NOT NULL,
        type text NOT NULL,
        payload bytea NOT NULL,
        created_at timestamptz NOT NULL,
        CONSTRAINT outbox_sequence_key UNIQUE (client_id, application_id, sequence)
    )
    """,
    """
    CREATE TABLE obligor.delivery (
        event_id uuid,
        endpoint_id text,
        application_id text,
        sequence bigint NOT NULL,
        state text NOT NULL DEFAULT 'pending'
            CONSTRAINT delivery_state CHECK (state IN ('pending', 'delivered', 'dead')),
        attempts integer NOT NULL DEFAULT 0,
        due_since timestamptz NOT NULL,
        tried_since timestamptz,
        next_at timestamptz NOT NULL,
        claim uuid,
        last_status smallint,
        last_trouble text,
        settled_at timestamptz,
        CONSTRAINT delivery_pkey PRIMARY KEY (event_id, endpoint_id)
    )
    """,
    "CREATE INDEX delivery_due ON obligor.delivery (endpoint_id, next_at) WHERE state = 'pending'",
    """
    CREATE INDEX delivery_order ON obligor.delivery (endpoint_id, application_id, sequence) WHERE state = 'pending'
    """,
    "CREATE INDEX delivery_dead ON obligor.delivery (endpoint_id, settled_at) WHERE state = 'dead'",
)
_COMMENTS = {
    "webhook_endpoint": "Where clients are told of events, and what signs it. The leaf is that of the last change.",
    "outbox": "What is told to clients, written with the act that it tells of; in order for each application.",
    "delivery": "How far an event came on its way to an endpoint.",
}


def upgrade() -> None:
    """Make the tables."""
    for statement in _STEPS:
        op.execute(statement)
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")


def downgrade() -> None:
    """Take the tables away; what was told stays in the log."""
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
