"""The table of administrative acts; the web side may add to it and read it, never change it."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Table, Text, Uuid, func
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, metadata

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Null for acts on the platform itself.
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE")),
    Column("at", MOMENT, nullable=False, server_default=func.now()),
    Column("actor_kind", Text, nullable=False),
    # No foreign key: an act outlives who did it.
    Column("actor_id", Uuid),
    Column("actor_name", Text, nullable=False),
    Column("address", Text),
    Column("user_agent", Text),
    Column("request_id", Text),
    Column("action", Text, nullable=False),
    Column("subject_kind", Text, nullable=False),
    Column("subject_id", Text, nullable=False),
    Column("before", JSONB(none_as_null=True)),
    Column("after", JSONB(none_as_null=True)),
    CheckConstraint("actor_kind IN ('person', 'key', 'command')", name="actor_kind"),
    Index(None, "organization_id", "id"),
)
