"""What a service that owns nothing may do, and that an auditor may read all of the store."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_WANTED = "CREATE ROLE obligor_service NOLOGIN IN ROLE obligor_reader"
# Roles belong to the whole server, so that another database of it may have them already, or be making them just now.
_ROLE = f"""
    DO $$
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'obligor_service') THEN
            CREATE ROLE obligor_service NOLOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
        END IF;
    EXCEPTION
        WHEN duplicate_object OR unique_violation THEN NULL;
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the role obligor_service is missing, and this user may not make it: {_WANTED}'
                USING ERRCODE = 'insufficient_privilege';
    END
    $$
"""
_READS = f"""
    DO $$
    BEGIN
        IF NOT pg_has_role('obligor_service', 'obligor_reader', 'MEMBER') THEN
            GRANT obligor_reader TO obligor_service;
        END IF;
    EXCEPTION
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the role obligor_service is no member of obligor_reader: {_WANTED}'
                USING ERRCODE = 'insufficient_privilege';
    END
    $$
"""
_CHANGED = (
    "api_key", "app_user", "delivery", "erasure", "keyring", "legal_hold", "screening_progress", "subject_key", "tree_head",
    "user_role", "webhook_endpoint",
)  # fmt: skip
_TO_COME = {"obligor_service": "SELECT, INSERT", "obligor_auditor": "SELECT"}


def upgrade() -> None:
    """Make the role, which reads and adds, and changes no more than what has to change; tables to come are held to the same."""
    op.execute(_ROLE)
    op.execute(_READS)
    op.execute("GRANT USAGE ON SCHEMA obligor TO obligor_service")
    op.execute("GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA obligor TO obligor_service")
    op.execute("REVOKE INSERT ON obligor.alembic_version FROM obligor_service")
    op.execute("GRANT SELECT ON ALL TABLES IN SCHEMA obligor TO obligor_auditor")
    for role, rights in _TO_COME.items():
        op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA obligor GRANT {rights} ON TABLES TO {role}")
    op.execute(f"GRANT UPDATE ON {', '.join(f'obligor.{table}' for table in _CHANGED)} TO obligor_service")


def downgrade() -> None:
    """Take the rights away; the role stays, which other databases may use."""
    for role, rights in _TO_COME.items():
        op.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA obligor REVOKE {rights} ON TABLES FROM {role}")
    op.execute("REVOKE SELECT ON ALL TABLES IN SCHEMA obligor FROM obligor_auditor")
    op.execute(
        "GRANT SELECT ON obligor.decision, obligor.request, obligor.outcome, obligor.record, obligor.leaf TO obligor_auditor"
    )
    op.execute("REVOKE ALL ON ALL TABLES IN SCHEMA obligor FROM obligor_service")
    op.execute("REVOKE USAGE ON SCHEMA obligor FROM obligor_service")
