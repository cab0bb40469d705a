"""The tables of stored files: what the media store has, and which messages and campaigns name it.

A message without a file has no row here: to store and to send a text costs nothing of this.
"""

from sqlalchemy import CheckConstraint, Column, ForeignKey, ForeignKeyConstraint, Index, SmallInteger, Table, Text, Uuid
from sqlalchemy import text as sql

from berrante.store import MOMENT, metadata

media_files = Table(
    "media_files",
    metadata,
    Column("reference", Text, primary_key=True),
    # No foreign key: the file outlives its organization's row, and is found by this one.
    Column("organization_id", Uuid, nullable=False),
    # Last; the same bytes are stored again under the same reference.
    Column("stored_at", MOMENT, nullable=False),
    # When to delete it unless it is named by then; null once it was found to be.
    Column("check_at", MOMENT),
    CheckConstraint("starts_with(reference, organization_id::text || '/')", name="owner"),
    Index("ix_media_files_check_at", "check_at", postgresql_where=sql("check_at IS NOT NULL")),
)

message_files = Table(
    "message_files",
    metadata,
    # Not a foreign key, which every change of a message would have to look at. What deletes messages deletes these, and
    # one that is left over names nothing.
    Column("message_id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("reference", Text, ForeignKey("media_files.reference", ondelete="CASCADE"), nullable=False, index=True),
)

#: What campaigns name, for all their messages: those have no rows of their own above.
campaign_files = Table(
    "campaign_files",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("reference", Text, ForeignKey("media_files.reference", ondelete="CASCADE"), primary_key=True, index=True),
    Column("organization_id", Uuid, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
    ),
)

#: One row while messages and campaigns from before there were these tables are gone through, none afterwards.
media_backfill = Table(
    "media_backfill",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    # Messages up to this one are done.
    Column("after_id", Uuid, nullable=False),
    # Up to when processes of the version before may have written messages.
    Column("until", MOMENT, nullable=False),
    CheckConstraint("id = 1", name="one"),
)
