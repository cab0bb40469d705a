"""The tables of imports: how far one is, the file itself while it is read, and the rows that were refused."""

from sqlalchemy import (
    BigInteger,
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
from sqlalchemy.dialects.postgresql import JSONB

from berrante.store import MOMENT, metadata


def _count(name: str) -> "Column[int]":
    return Column(name, Integer, nullable=False, server_default=text("0"))


contact_imports = Table(
    "contact_imports",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("filename", Text),
    Column("country", Text),
    # Who imported: stands on the consents that the file speaks of.
    Column("by", Text),
    Column("status", Text, nullable=False),
    Column("reason", Text),
    # What the first line said, once it was read.
    Column("layout", JSONB),
    Column("bytes_total", BigInteger, nullable=False),
    Column("bytes_done", BigInteger, nullable=False, server_default=text("0")),
    Column("lines_done", Integer, nullable=False, server_default=text("0")),
    _count("created"),
    _count("updated"),
    _count("rejected"),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    Column("finished_at", MOMENT),
    CheckConstraint("status IN ('waiting', 'running', 'done', 'failed')", name="status"),
    # The same file for the same number is the same import.
    UniqueConstraint("instance_id", "digest"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "id"),
    Index("ix_contact_imports_open", "id", postgresql_where=text("status IN ('waiting', 'running')")),
)

contact_import_chunks = Table(
    "contact_import_chunks",
    metadata,
    Column("import_id", Uuid, ForeignKey("contact_imports.id", ondelete="CASCADE"), primary_key=True),
    # Where in the file the chunk begins, in bytes.
    Column("position", BigInteger, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("data", LargeBinary, nullable=False),
)

contact_import_errors = Table(
    "contact_import_errors",
    metadata,
    Column("import_id", Uuid, ForeignKey("contact_imports.id", ondelete="CASCADE"), primary_key=True),
    Column("line", Integer, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("column", Text, nullable=False),
    Column("reason", Text, nullable=False),
)
