"""The table of instances: one WhatsApp number of one organization."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, UniqueConstraint, Uuid, func, text
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, Sealed, metadata

instances = Table(
    "instances",
    metadata,
    Column("id", Text, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("gateway", Text, nullable=False),
    Column("phone_number_id", Text),
    Column("display_number", Text),
    Column("app_secret", Sealed("instances.app_secret", required=False)),
    Column("verify_token", Text),
    Column("settings", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("id ~ '^[a-z0-9-]{1,40}$'", name="id_is_short"),
    CheckConstraint("gateway IN ('simulator', 'cloud', 'baileys')", name="gateway"),
    # Other tables refer to the pair: no row can join one organization to another's number.
    UniqueConstraint("organization_id", "id"),
)
