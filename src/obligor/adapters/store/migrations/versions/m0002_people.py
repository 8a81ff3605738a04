"""People and their roles; and what a client may not see is hidden from it by the database itself."""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES = (
    """
    CREATE TABLE obligor.app_user (
        user_id text CONSTRAINT app_user_pkey PRIMARY KEY,
        password text NOT NULL,
        created_at timestamptz NOT NULL,
        disabled_at timestamptz,
        leaf_index bigint NOT NULL
    )
    """,
    """
    CREATE TABLE obligor.user_role (
        user_id text,
        role text,
        state text NOT NULL CONSTRAINT state_is_known CHECK (state IN ('proposed', 'granted', 'revoked')),
        proposed_by text NOT NULL,
        by text NOT NULL,
        at timestamptz NOT NULL,
        leaf_index bigint NOT NULL,
        CONSTRAINT user_role_pkey PRIMARY KEY (user_id, role)
    )
    """,
    """
    CREATE TABLE obligor.sign_in (
        leaf_index bigint CONSTRAINT sign_in_pkey PRIMARY KEY,
        user_id text NOT NULL,
        at timestamptz NOT NULL
    )
    """,
    "CREATE INDEX sign_in_user ON obligor.sign_in (user_id, at)",
)
_COMMENTS = {
    "app_user": "The people who may sign in; of a password only its hash (argon2id) is kept. "
    "The leaf is that of the last change.",
    "user_role": "The roles of people: proposed by one person, granted by another. The leaf is that of the last change.",
    "sign_in": "When somebody signed in with a password.",
}
# Roles belong to the whole server, so that another database of it may have them already, or be making them just now.
_ROLE = """
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
            CREATE ROLE {role} NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the role {role} is missing, and this user may not make it: CREATE ROLE {role} NOLOGIN'
                USING ERRCODE = 'insufficient_privilege';
    END
    $$
"""
_MEMBER = """
    DO $$
    BEGIN
        IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
            GRANT obligor_reader TO CURRENT_USER;
        END IF;
    EXCEPTION
        WHEN insufficient_privilege THEN
            IF NOT pg_has_role(current_user, 'obligor_reader', 'MEMBER') THEN
                RAISE EXCEPTION 'this user may not act as obligor_reader: GRANT obligor_reader TO %', current_user
                    USING ERRCODE = 'insufficient_privilege';
            END IF;
    END
    $$
"""
_READERS = ("obligor_reader", "obligor_auditor")
_HIDDEN = ("decision", "request", "outcome", "record")
_VISIBLE = ", ".join(f"obligor.{table}" for table in (*_HIDDEN, "leaf"))
_ITS_OWN = "client_id = current_setting('obligor.client', true)"
_ANYBODY_ELSE = "current_user <> 'obligor_reader'"  # who may do what their grants say, as before
# Whose an outcome or a record is, the decision says, which is under its own policy.
_POLICIES = {
    "decision": _ITS_OWN,
    "request": _ITS_OWN,
    "outcome": "EXISTS (SELECT FROM obligor.decision WHERE decision.decision_id = outcome.decision_id)",
    "record": "EXISTS (SELECT FROM obligor.decision WHERE decision.leaf_index = record.leaf_index)",
}


def upgrade() -> None:
    """Make the tables, the roles of the database, and what each may see."""
    for statement in _TABLES:
        op.execute(statement)
    for table, comment in _COMMENTS.items():
        op.execute(f"COMMENT ON TABLE obligor.{table} IS '{comment}'")
    for role in _READERS:
        op.execute(_ROLE.format(role=role))
        op.execute(f"GRANT USAGE ON SCHEMA obligor TO {role}")
        op.execute(f"GRANT SELECT ON {_VISIBLE} TO {role}")
    op.execute(_MEMBER)
    for table, own in _POLICIES.items():
        # The owner, who records, is not under it: a decision costs what it did.
        op.execute(f"ALTER TABLE obligor.{table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY own_rows ON obligor.{table} FOR SELECT TO obligor_reader USING ({own})")
        op.execute(f"CREATE POLICY every_row ON obligor.{table} USING ({_ANYBODY_ELSE}) WITH CHECK ({_ANYBODY_ELSE})")


def downgrade() -> None:
    """Take the tables away, where they hold nobody; the roles stay, which other databases may use."""
    if op.get_bind().execute(text("SELECT EXISTS (SELECT FROM obligor.app_user)")).scalar_one():
        raise RuntimeError("the store holds people; they are not taken away")
    for table in _POLICIES:
        op.execute(f"DROP POLICY own_rows ON obligor.{table}")
        op.execute(f"DROP POLICY every_row ON obligor.{table}")
        op.execute(f"ALTER TABLE obligor.{table} DISABLE ROW LEVEL SECURITY")
    for role in _READERS:
        op.execute(f"REVOKE SELECT ON {_VISIBLE} FROM {role}")  # noqa: S608  names of our own
        op.execute(f"REVOKE USAGE ON SCHEMA obligor FROM {role}")
    for table in _COMMENTS:
        op.execute(f"DROP TABLE obligor.{table}")
