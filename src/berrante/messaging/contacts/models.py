"""The table of contacts: who writes to a number, or is written to."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Table, Text, UniqueConstraint, Uuid

from berrante.store import MOMENT, metadata

contacts = Table(
    "contacts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("name", Text),
    Column("first_seen_at", MOMENT, nullable=False),
    Column("last_message_at", MOMENT),
    CheckConstraint(r"address ~ '^\+[0-9]{5,20}$'", name="address_is_e164"),
    UniqueConstraint("instance_id", "address"),
    # Messages refer to the triple: no message can reach another number's contact.
    UniqueConstraint("organization_id", "instance_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
)
