"""The open messages of a number, by contact: a message waits for those of its chat that are on their way."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_OPEN = "status IN ('queued', 'sending')"


def upgrade() -> None:
    """Index what is in a number's lane by whom it goes to."""
    op.drop_index("ix_messages_open_instance", "messages")
    op.execute(f"CREATE INDEX ix_messages_open_instance ON messages (instance_id, contact_id) WHERE {_OPEN}")


def downgrade() -> None:
    """Index it by number alone."""
    op.drop_index("ix_messages_open_instance", "messages")
    op.execute(f"CREATE INDEX ix_messages_open_instance ON messages (instance_id) WHERE {_OPEN}")
