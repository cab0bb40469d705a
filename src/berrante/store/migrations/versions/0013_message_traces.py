"""The trace of a message's send, for receipts to join."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let a message have one; without a default, no row is written anew."""
    op.add_column("messages", sa.Column("trace_context", sa.Text()))


def downgrade() -> None:
    """Forget the traces."""
    op.drop_column("messages", "trace_context")
