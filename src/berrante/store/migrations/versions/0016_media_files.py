"""Which files the media store has and who names them, so that those go that nobody names any more."""

import sqlalchemy as sa
from alembic import op

from berrante.store.tenancy import enable_tenancy

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and have the chore ``delete-files`` go through the messages that are there.

    It deletes nothing before it has seen all of them, those too that processes of the version before write within a
    day from now.
    """
    op.create_table(
        "media_files",
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("stored_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("check_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("reference", name="pk_media_files"),
        sa.CheckConstraint("starts_with(reference, organization_id::text || '/')", name="ck_media_files_owner"),
    )
    enable_tenancy("media_files", grants="SELECT, INSERT, UPDATE")
    op.create_index(
        "ix_media_files_check_at", "media_files", ["check_at"], postgresql_where=sa.text("check_at IS NOT NULL")
    )
    op.create_table(
        "message_files",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_files"),
        sa.ForeignKeyConstraint(
            ["reference"], ["media_files.reference"], name="fk_message_files_reference", ondelete="CASCADE"
        ),
    )
    enable_tenancy("message_files", grants="SELECT, INSERT, DELETE")
    op.create_index("ix_message_files_reference", "message_files", ["reference"])
    op.create_table(
        "campaign_files",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", "reference", name="pk_campaign_files"),
        sa.ForeignKeyConstraint(
            ["reference"], ["media_files.reference"], name="fk_campaign_files_reference", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "campaign_id"],
            ["campaigns.organization_id", "campaigns.id"],
            name="fk_campaign_files_organization_id_campaign_id",
            ondelete="CASCADE",
        ),
    )
    enable_tenancy("campaign_files", grants="SELECT, INSERT, DELETE")
    op.create_index("ix_campaign_files_reference", "campaign_files", ["reference"])
    op.create_table(
        "media_backfill",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("after_id", sa.Uuid(), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_media_backfill"),
        sa.CheckConstraint("id = 1", name="ck_media_backfill_one"),
    )
    op.execute("""
        INSERT INTO media_backfill
        SELECT 1, '00000000-0000-0000-0000-000000000000', now() + interval '1 day'
         WHERE EXISTS (SELECT FROM messages) OR EXISTS (SELECT FROM campaigns)
    """)


def downgrade() -> None:
    """Forget which files there are; they stay."""
    for table in ("media_backfill", "campaign_files", "message_files", "media_files"):
        op.drop_table(table)
