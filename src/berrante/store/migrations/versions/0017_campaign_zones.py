"""Campaigns: how many are pending in each zone."""

import sqlalchemy as sa
from alembic import op

from berrante.store.tenancy import enable_tenancy

revision = "0017"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table; ticks of campaigns that run fill it."""
    op.create_table(
        "campaign_zones",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("zone", sa.Text(), nullable=False),
        sa.Column("stranger", sa.Boolean(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("pending", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name="fk_campaign_zones_organization_id_campaign_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("campaign_id", "instance_id", "zone", "stranger", name="pk_campaign_zones"),
    )
    enable_tenancy("campaign_zones")


def downgrade() -> None:
    """Forget them."""
    op.drop_table("campaign_zones")
