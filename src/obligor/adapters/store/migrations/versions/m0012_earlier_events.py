"""An index by which the earlier events of one application are found, whatever is known of the table's size."""

from __future__ import annotations

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Put the application first: an index that began with the endpoint was passed over for that of what is due."""
    op.execute(
        "CREATE INDEX delivery_application ON obligor.delivery (application_id, endpoint_id, sequence) WHERE state = 'pending'"
    )
    op.execute("DROP INDEX obligor.delivery_order")


def downgrade() -> None:
    """Bring the index before back."""
    op.execute(
        "CREATE INDEX delivery_order ON obligor.delivery (endpoint_id, application_id, sequence) WHERE state = 'pending'"
    )
    op.execute("DROP INDEX obligor.delivery_application")
