"""The tables of what the Cloud API needs to speak for a number, and of what Meta says of it."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    func,
)
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, Sealed, metadata

cloud_numbers = Table(
    "cloud_numbers",
    metadata,
    Column("instance_id", Text, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("access_token", Sealed("cloud_numbers.access_token")),
    Column("base_url", Text, nullable=False),
    Column("graph_version", Text, nullable=False),
    Column("business_account_id", Text),
    Column("portfolio_id", Text),
    # Different people whom the portfolio may write to first in 24 hours; null: not told, or without a limit.
    Column("messaging_limit", Integer),
    Column("quality", Text),
    # Messages a second, while WhatsApp has us go slower than the number's own rate; null: it does not.
    Column("rate_per_s", Float),
    Column("rate_changed_at", MOMENT),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("messaging_limit > 0", name="messaging_limit"),
    CheckConstraint("rate_per_s > 0", name="rate_per_s"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "business_account_id"),
)

number_updates = Table(
    "number_updates",
    metadata,
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    # What it is about: of each, the last word is kept.
    Column("subject", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("details", JSONB, nullable=False),
    Column("at", MOMENT, nullable=False),
    PrimaryKeyConstraint("instance_id", "subject"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id"),
)
