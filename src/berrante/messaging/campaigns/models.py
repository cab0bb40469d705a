"""The tables of campaigns and of whom they write to."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from berrante.store import MOMENT, metadata

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('draft', 'running', 'done', 'cancelled')", name="status"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "id"),
    Index("ix_campaigns_running", "id", postgresql_where=text("status = 'running'")),
)

campaign_recipients = Table(
    "campaign_recipients",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("campaign_id", Uuid, ForeignKey("campaigns.id", ondelete="CASCADE"), nullable=False),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("address", Text, nullable=False),
    Column("position", Integer, nullable=False),
    # Once there is a message, the message's status is the recipient's.
    Column("status", Text, nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), unique=True),
    CheckConstraint("status IN ('pending', 'written', 'skipped')", name="status"),
    CheckConstraint("(status = 'written') = (message_id IS NOT NULL)", name="written_has_a_message"),
    UniqueConstraint("campaign_id", "address"),
    Index("ix_campaign_recipients_pending", "campaign_id", "position", postgresql_where=text("status = 'pending'")),
)
