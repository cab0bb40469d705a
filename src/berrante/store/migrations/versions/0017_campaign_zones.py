"""Campaigns: how many are pending in each zone; an automation for answers may come before the usual ones."""

import sqlalchemy as sa
from alembic import op

from berrante.store.tenancy import enable_tenancy

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, which ticks of campaigns that run fill; campaigns that name an automation keep it in place."""
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
    op.add_column("campaigns", sa.Column("reply_automation_mode", sa.Text(), nullable=False, server_default="instead"))
    op.create_check_constraint(
        "ck_campaigns_reply_automation_mode", "campaigns", "reply_automation_mode IN ('instead', 'before')"
    )
    op.add_column("automation_runs", sa.Column("waits_for", sa.Uuid()))
    op.create_foreign_key(
        "fk_automation_runs_waits_for", "automation_runs", "automation_runs", ["waits_for"], ["id"], ondelete="SET NULL"
    )
    op.create_index(
        "ix_automation_runs_waits_for",
        "automation_runs",
        ["waits_for"],
        postgresql_where=sa.text("waits_for IS NOT NULL"),
    )


def downgrade() -> None:
    """Forget them."""
    op.drop_column("automation_runs", "waits_for")
    op.drop_column("campaigns", "reply_automation_mode")
    op.drop_table("campaign_zones")
