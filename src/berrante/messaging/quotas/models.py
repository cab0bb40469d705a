"""The table of quotas: how much of the platform an organization may use."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Integer, Table, Uuid, func

from berrante.store import MOMENT, metadata

# No row, and null in a row, are no limit.
quotas = Table(
    "quotas",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    Column("messages_per_day", Integer),
    Column("campaigns_running", Integer),
    Column("contacts", Integer),
    Column("requests_per_minute", Integer),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("least(messages_per_day, campaigns_running, contacts) >= 0", name="not_negative"),
    CheckConstraint("requests_per_minute >= 1", name="requests_per_minute"),
)
