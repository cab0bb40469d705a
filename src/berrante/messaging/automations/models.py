"""The tables of automations and of their runs."""

from sqlalchemy import (
    Boolean,
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
from sqlalchemy.dialects.postgresql import ARRAY

from berrante.store import MOMENT, metadata

automations = Table(
    "automations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    # Null: every number of the organization.
    Column("instance_id", Text),
    Column("name", Text, nullable=False),
    Column("trigger", Text, nullable=False),
    Column("keywords", ARRAY(Text), nullable=False),
    Column("reply", Text, nullable=False),
    Column("delay_ms", Integer, nullable=False, server_default=text("0")),
    Column("enabled", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("trigger IN ('keyword', 'any', 'campaign')", name="trigger"),
    CheckConstraint("delay_ms >= 0", name="delay_ms"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "instance_id"),
)

automation_runs = Table(
    "automation_runs",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("automation_id", Uuid, ForeignKey("automations.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("status", Text, nullable=False),
    Column("reply_message_id", Uuid, ForeignKey("messages.id", ondelete="SET NULL"), index=True),
    Column("due_at", MOMENT, nullable=False),
    # The run of a campaign's automation, whose reply is written before this one's.
    Column("waits_for", Uuid, ForeignKey("automation_runs.id", ondelete="SET NULL")),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("status IN ('open', 'done', 'skipped', 'failed')", name="status"),
    UniqueConstraint("automation_id", "message_id"),
    Index("ix_automation_runs_waits_for", "waits_for", postgresql_where=text("waits_for IS NOT NULL")),
    Index("ix_automation_runs_open", "due_at", postgresql_where=text("status = 'open'")),
)
