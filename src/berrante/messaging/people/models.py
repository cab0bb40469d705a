"""The table of people who log in."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, Uuid, func

from berrante.store import MOMENT, metadata

people = Table(
    "people",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Null for the platform's owner, who belongs to no tenant.
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), index=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint("email = lower(email)", name="email_is_lower"),
    CheckConstraint("role IN ('owner', 'admin', 'member')", name="role"),
    CheckConstraint("(role = 'owner') = (organization_id IS NULL)", name="owner_has_no_organization"),
)
