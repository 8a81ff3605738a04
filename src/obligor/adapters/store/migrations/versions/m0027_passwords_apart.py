"""Who verifies the log reads what it tells of a password, the SHA-256 of its hash, and no more the hash itself."""

from __future__ import annotations

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None

_BYTES = r"replace(password, '\', '\\')::bytea"
"""As it stands: a backslash begins an escape otherwise, and two passwords would have the same hash."""
_TOLD = f"CASE WHEN password = '' THEN '' ELSE encode(sha256({_BYTES}), 'hex') END"
_READ = "SELECT (user_id, created_at, disabled_at, leaf_index, password_sha256) ON obligor.app_user"

_COMMENT = (
    "The people who may sign in; of a password only its hash (argon2id) is kept{}. The leaf is that of the last change."
)


def upgrade() -> None:
    """Add the column, which nobody can set by itself, and take the other from who only verifies."""
    op.execute(
        f"ALTER TABLE obligor.app_user ADD COLUMN password_sha256 text NOT NULL GENERATED ALWAYS AS ({_TOLD}) STORED"
    )
    op.execute(
        f"COMMENT ON TABLE obligor.app_user IS '{_COMMENT.format(', and the SHA-256 of that, which the log tells')}'"
    )
    op.execute("REVOKE SELECT ON obligor.app_user FROM obligor_auditor")
    op.execute(f"GRANT {_READ} TO obligor_auditor")


def downgrade() -> None:
    """Give the hash back to be read."""
    op.execute(f"REVOKE {_READ} FROM obligor_auditor")
    op.execute("ALTER TABLE obligor.app_user DROP COLUMN password_sha256")
    op.execute(f"COMMENT ON TABLE obligor.app_user IS '{_COMMENT.format('')}'")
    op.execute("GRANT SELECT ON obligor.app_user TO obligor_auditor")
