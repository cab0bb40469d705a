"""The tables of people who log in, and of their sessions."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text, Uuid, func

from berrante.store import MOMENT, metadata

people = Table(
    "people",
    metadata,
    Column("id", Uuid, primary_key=True),
    # Null for the platform's owner, who belongs to no tenant; an organization has owners of its own.
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), index=True),
    Column("email", Text, nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("name", Text),
    Column("disabled_at", MOMENT),
    Column("last_login_at", MOMENT),
    CheckConstraint("email = lower(email)", name="email_is_lower"),
    CheckConstraint("role IN ('owner', 'admin', 'agent', 'viewer')", name="role"),
    CheckConstraint("organization_id IS NOT NULL OR role = 'owner'", name="only_owners_have_no_organization"),
)

# A session is a family of refresh tokens, of which one at a time is good.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("person_id", Uuid, ForeignKey("people.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), index=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("expires_at", MOMENT, nullable=False),
    Column("revoked_at", MOMENT),
    Column("revoked_because", Text),
    Column("address", Text),
    Column("user_agent", Text),
    CheckConstraint("(revoked_at IS NULL) = (revoked_because IS NULL)", name="revoked_because"),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("sha256", Text, primary_key=True),
    Column("session_id", Uuid, ForeignKey("sessions.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    # Kept after its use: whoever shows it again is a thief, or was stolen from.
    Column("used_at", MOMENT),
)
