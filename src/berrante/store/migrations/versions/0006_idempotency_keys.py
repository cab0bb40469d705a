"""Idempotency keys."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from berrante.store.tenancy import enable_tenancy

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "idempotency_keys",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("token", sa.Uuid(), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("answered_at", sa.DateTime(timezone=True)),
        sa.Column("answer_status", sa.SmallInteger()),
        sa.Column("answer_headers", postgresql.JSONB()),
        sa.Column("answer_body", sa.LargeBinary()),
        sa.CheckConstraint("length(key) <= 255", name="ck_idempotency_keys_key_is_short"),
        sa.CheckConstraint(
            "(answered_at IS NULL) = (answer_status IS NULL)", name="ck_idempotency_keys_answered_has_a_status"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_idempotency_keys_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "key", name="pk_idempotency_keys"),
    )
    enable_tenancy("idempotency_keys")
    op.create_index("ix_idempotency_keys_created_at", "idempotency_keys", ["created_at"])


def downgrade() -> None:
    """Drop it with its rows."""
    op.drop_table("idempotency_keys")
