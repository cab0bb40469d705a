"""How numbers stand with WhatsApp, as it was told last."""

import sqlalchemy as sa
from alembic import op

from berrante.store.tenancy import enable_tenancy

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; numbers that can send by now count as connected, so that it is told when they no longer can.

    The secrets of webhook endpoints stay as they are: the first process that has a key seals them.
    """
    op.create_table(
        "instance_states",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("state IN ('connected', 'disconnected', 'restricted')", name="ck_instance_states_state"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_instance_states_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", name="pk_instance_states"),
    )
    enable_tenancy("instance_states")
    op.create_index("ix_instance_states_organization_id", "instance_states", ["organization_id"])
    op.execute("""
        INSERT INTO instance_states (instance_id, organization_id, state, since)
        SELECT instance_id, organization_id, 'connected', now() FROM cloud_numbers WHERE access_token IS NOT NULL
        UNION ALL
        SELECT instance_id, organization_id, 'connected', now() FROM baileys_sessions WHERE paired
    """)


def downgrade() -> None:
    """Forget the states; secrets of endpoints that were sealed stay sealed."""
    op.drop_table("instance_states")
