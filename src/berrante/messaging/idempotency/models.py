"""The table of idempotency keys: who is at which request, and what it answered."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("key", Text, nullable=False),
    # SHA-256 of who asked what; the request itself is not kept.
    Column("fingerprint", LargeBinary, nullable=False),
    # The fence: only the process that has it may store the answer.
    Column("token", Uuid, nullable=False),
    Column("lease_until", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("answered_at", MOMENT),
    Column("answer_status", SmallInteger),
    Column("answer_headers", JSONB),
    # Null with an answer: it held what may not be kept.
    Column("answer_body", LargeBinary),
    PrimaryKeyConstraint("organization_id", "key"),
    CheckConstraint("length(key) <= 255", name="key_is_short"),
    CheckConstraint("(answered_at IS NULL) = (answer_status IS NULL)", name="answered_has_a_status"),
    Index("ix_idempotency_keys_created_at", "created_at"),
)
