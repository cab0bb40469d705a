"""The tables of contacts, of what they consented to, and of who must not be written to."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from berrante.store import MOMENT, metadata

contacts = Table(
    "contacts",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("address_kind", Text, nullable=False, server_default="phone"),
    Column("address", Text, nullable=False),
    # What WhatsApp itself calls the contact, where that is another spelling of the address.
    Column("whatsapp_address", Text),
    Column("name", Text),
    # The name's words, each after a space, without case and accents: what a search compares.
    Column("name_key", Text),
    # The organization gave the name: a profile's name no longer replaces it.
    Column("name_given", Boolean, nullable=False, server_default=text("false")),
    Column("language", Text),
    Column("fields", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("tags", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("consent", Text, nullable=False, server_default="unknown"),
    Column("consent_at", MOMENT),
    Column("blocked_at", MOMENT),
    # WhatsApp said that campaigns are not to write here.
    Column("suppressed_at", MOMENT),
    Column("suppression_reason", Text),
    Column("erased_at", MOMENT),
    Column("first_seen_at", MOMENT, nullable=False),
    Column("last_message_at", MOMENT),
    # Incoming messages that were stored until then have been read by a person here.
    Column("read_until", MOMENT),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint(
        r"(address_kind = 'phone' AND address ~ '^\+[0-9]{5,20}$')"
        r" OR (address_kind = 'lid' AND address ~ '^[0-9]{5,25}@lid$')"
        r" OR (address_kind = 'bsuid' AND address ~ '^[A-Z]{2}\.[A-Za-z0-9.]{5,125}$')"
        r" OR (address_kind = 'erased' AND erased_at IS NOT NULL)",
        name="address_is_of_its_kind",
    ),
    CheckConstraint("consent IN ('unknown', 'opted_in', 'opted_out')", name="consent"),
    UniqueConstraint("instance_id", "address"),
    # Messages refer to the triple: no message can reach another number's contact.
    UniqueConstraint("organization_id", "instance_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "id"),
    Index(None, "organization_id", "address", postgresql_ops={"address": "text_pattern_ops"}),
    Index(None, "tags", postgresql_using="gin"),
    Index(None, "fields", postgresql_using="gin", postgresql_ops={"fields": "jsonb_path_ops"}),
    Index(
        "ix_contacts_conversations",
        "organization_id",
        "last_message_at",
        "id",
        postgresql_where=text("last_message_at IS NOT NULL"),
    ),
)

consents = Table(
    "consents",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("contact_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("text", Text),
    Column("by", Text),
    Column("at", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("state IN ('opted_in', 'opted_out')", name="state"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id", "contact_id"],
        ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
        ondelete="CASCADE",
    ),
    Index(None, "contact_id", "id"),
    Index(None, "organization_id", "instance_id", "contact_id"),
)

#: Addresses that an organization may not write campaigns to, kept as hashes: they outlive contacts that are erased.
opt_outs = Table(
    "opt_outs",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("address_hash", LargeBinary, primary_key=True),
    Column("opted_out_at", MOMENT, nullable=False),
    Column("erased_at", MOMENT),
)
