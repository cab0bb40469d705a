"""The sidecar's tables: who holds a number, its sealed credentials and keys, and messages on their way to the queue.

Only the sidecar reads and writes them (``sidecar/src``); they are declared here so that the schema is whole. ``creds``,
``value`` and ``entry`` are sealed with AES-256-GCM under ``BERRANTE_BAILEYS_KEY``.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Identity,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from berrante.store import MOMENT, metadata

baileys_sessions = Table(
    "baileys_sessions",
    metadata,
    Column("instance_id", Text, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("creds", LargeBinary),
    Column("paired", Boolean, nullable=False, server_default=text("false")),
    # The lease: its holder's address, when it ends unless prolonged, and a number that grows with each new holder.
    Column("owner", Text),
    Column("leased_until", MOMENT),
    Column("fence", BigInteger, nullable=False, server_default=text("0")),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
)

baileys_keys = Table(
    "baileys_keys",
    metadata,
    Column("instance_id", Text, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("type", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("value", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
)

baileys_journal = Table(
    "baileys_journal",
    metadata,
    Column("number", BigInteger, Identity(), primary_key=True),
    Column("instance_id", Text, nullable=False),
    Column("organization_id", Uuid, nullable=False),
    Column("chat", Text, nullable=False),
    Column("message_id", Text, nullable=False),
    Column("entry", LargeBinary, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    UniqueConstraint("instance_id", "chat", "message_id"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
)
