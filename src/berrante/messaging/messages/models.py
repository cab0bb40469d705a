"""The tables of messages, both directions, and of what WhatsApp says that they cost."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, metadata

messages = Table(
    "messages",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("direction", Text, nullable=False),
    Column("origin", Text, nullable=False),
    Column("wire_id", Text, nullable=False),
    Column("provider_id", Text),
    Column("status", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("failure_code", Text),
    Column("failure_reason", Text),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("priority", SmallInteger, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("sent_at", MOMENT),
    Column("delivered_at", MOMENT),
    Column("read_at", MOMENT),
    Column("updated_at", MOMENT, nullable=False),
    # The trace of the send, which receipts join; written only where traces are made.
    Column("trace_context", Text),
    CheckConstraint("direction IN ('in', 'out')", name="direction"),
    CheckConstraint("origin IN ('contact', 'automation', 'campaign', 'api')", name="origin"),
    CheckConstraint(
        "status IN ('received', 'queued', 'sending', 'in_doubt', 'sent', 'skipped', 'failed', 'delivered', 'read')",
        name="status",
    ),
    CheckConstraint("(direction = 'in') = (status = 'received')", name="only_incoming_is_received"),
    CheckConstraint("(direction = 'in') = (origin = 'contact')", name="only_incoming_is_from_a_contact"),
    UniqueConstraint("instance_id", "wire_id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(
        ["organization_id", "instance_id", "contact_id"],
        ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
        ondelete="CASCADE",
    ),
    Index(None, "instance_id", "provider_id", postgresql_where=text("provider_id IS NOT NULL")),
    Index(None, "organization_id", "id"),
    Index(None, "organization_id", "instance_id", "id"),
    Index(None, "contact_id", "id"),
    # What the reconciler reads every minute: small, however large the table grows.
    Index("ix_messages_open", "id", postgresql_where=text("status IN ('queued', 'sending')")),
    # What is in one number's lane, and of that what goes to one contact.
    Index(
        "ix_messages_open_instance",
        "instance_id",
        "contact_id",
        postgresql_where=text("status IN ('queued', 'sending')"),
    ),
)

message_prices = Table(
    "message_prices",
    metadata,
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("billable", Boolean),
    # PMP (per message) or CBP (per conversation); marketing, utility, authentication, service; regular, free_…
    Column("model", Text),
    Column("category", Text),
    Column("type", Text),
)
