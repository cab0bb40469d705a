"""The tables of webhook endpoints and of what is, or was, to be delivered to them."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from berrante.store import MOMENT, Sealed, metadata

webhook_endpoints = Table(
    "webhook_endpoints",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("description", Text),
    Column("events", ARRAY(Text), nullable=False),
    Column("secret", Sealed("webhook_endpoints.secret", required=False), nullable=False),
    # Of the same context: a rotation moves the ciphertext as it is.
    Column("previous_secret", Sealed("webhook_endpoints.secret", required=False)),
    Column("previous_secret_until", MOMENT),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("disabled_at", MOMENT),
    Column("disabled_reason", Text),
    # The breaker: failures in a row, since when, and until when nothing is sent.
    Column("failures", Integer, nullable=False, server_default=text("0")),
    Column("failing_since", MOMENT),
    Column("open_until", MOMENT),
    CheckConstraint("failures >= 0", name="failures"),
    CheckConstraint("(failures = 0) = (failing_since IS NULL)", name="failing_has_a_start"),
    CheckConstraint("(disabled_at IS NULL) = (disabled_reason IS NULL)", name="disabled_has_a_reason"),
    # Deliveries refer to the pair: none can go to another organization's endpoint. It is also what ``emit`` reads.
    UniqueConstraint("organization_id", "id"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("endpoint_id", Uuid, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("event", Text, nullable=False),
    # Bytes, not JSON: what is sent again is what was signed, to the last space.
    Column("body", LargeBinary, nullable=False),
    Column("status", Text, nullable=False),
    Column("round", Integer, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("due_at", MOMENT, nullable=False),
    Column("created_at", MOMENT, nullable=False),
    Column("attempted_at", MOMENT),
    Column("delivered_at", MOMENT),
    Column("answer_status", Integer),
    Column("answer_body", Text),
    Column("answer_ms", Integer),
    Column("error", Text),
    CheckConstraint("status IN ('pending', 'delivered', 'failed', 'skipped')", name="status"),
    CheckConstraint("octet_length(answer_body) <= 4096", name="answer_body_is_short"),
    ForeignKeyConstraint(
        ["organization_id", "endpoint_id"],
        ["webhook_endpoints.organization_id", "webhook_endpoints.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "endpoint_id", "id"),
    Index("ix_webhook_deliveries_pending", "due_at", "id", postgresql_where=text("status = 'pending'")),
    Index("ix_webhook_deliveries_created_at", "created_at"),
)
