"""The tables of what must not be sent now: holds, and what WhatsApp lets a number do per contact and per day."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from berrante.store import MOMENT, metadata

sending_holds = Table(
    "sending_holds",
    metadata,
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    # number, account, campaigns, template:<name>/<language>, contact:<id>
    Column("what", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("campaigns_only", Boolean, nullable=False),
    Column("since", MOMENT, nullable=False),
    # Null: until a person, or word from WhatsApp, ends it.
    Column("until", MOMENT),
    PrimaryKeyConstraint("instance_id", "what"),
    CheckConstraint("what ~ '^(number|account|campaigns|template:.+|contact:.+)$'", name="what"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id"),
)

pair_rates = Table(
    "pair_rates",
    metadata,
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    # When all that was sent to the contact would have been sent at the even rate.
    Column("even_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("contact_id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id", "contact_id"],
        ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
        ondelete="CASCADE",
    ),
    Index(None, "even_at"),
)

opened_chats = Table(
    "opened_chats",
    metadata,
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    # Meta counts per business portfolio; a number of which it is not known counts for itself.
    Column("portfolio", Text, nullable=False),
    Column("opened_at", MOMENT, nullable=False),
    PrimaryKeyConstraint("contact_id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id", "contact_id"],
        ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "portfolio", "opened_at"),
    Index(None, "opened_at"),
)
