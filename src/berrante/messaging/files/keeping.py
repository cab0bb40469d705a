"""The record of files: who names one keeps it, and holds its row meanwhile, so that nobody deletes it."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.media import is_reference
from berrante.messaging.errors import Invalid
from berrante.messaging.files.models import campaign_files, media_files

_RECORD: Final = text("""
    INSERT INTO media_files AS kept (reference, organization_id, stored_at, check_at)
    VALUES (:reference, :organization, :at, :check_at)
        ON CONFLICT (reference) DO UPDATE
       SET stored_at = excluded.stored_at, check_at = greatest(kept.check_at, excluded.check_at)
""")
_RECORD_NAMED: Final = text("""
    INSERT INTO media_files (reference, organization_id, stored_at)
    SELECT DISTINCT reference, CAST(split_part(reference, '/', 1) AS uuid), now()
      FROM unnest(CAST(:references AS text[])) AS reference
     ORDER BY reference
        ON CONFLICT DO NOTHING
""")
# One statement for whoever sends a file. A message that was there before stays as it is, and so does its link.
_LINK: Final = text("""
      WITH held AS (SELECT reference FROM media_files WHERE reference = :reference FOR KEY SHARE),
           linked AS (INSERT INTO message_files (message_id, organization_id, reference)
                      SELECT CAST(:message AS uuid), CAST(:organization AS uuid), reference FROM held
                          ON CONFLICT (message_id) DO NOTHING)
    SELECT count(*) FROM held
""")
# In the order of their names: two transactions that meet wait for each other and never deadlock. What was stored within
# the hour may be about to be named.
_LET_GO: Final = text("""
    INSERT INTO media_files AS kept (reference, organization_id, stored_at, check_at)
    SELECT reference, CAST(split_part(reference, '/', 1) AS uuid), CAST(:at AS timestamptz), CAST(:at AS timestamptz)
      FROM unnest(CAST(:references AS text[])) AS reference
     ORDER BY reference
        ON CONFLICT (reference) DO UPDATE
       SET check_at = greatest(excluded.check_at, kept.stored_at + interval '1 hour')
""")


async def record(
    connection: AsyncConnection, *, organization_id: UUID, reference: str, at: datetime, check_at: datetime
) -> None:
    """Put a file on record that is about to be stored; nobody deletes it before ``check_at``."""
    row = {"reference": reference, "organization": organization_id, "at": at, "check_at": check_at}
    await connection.execute(_RECORD, row)


async def record_named(connection: AsyncConnection, references: Sequence[str]) -> None:
    """Put files on record that are named in the transaction and may be older than the records."""
    if references:
        await connection.execute(_RECORD_NAMED, {"references": list(references)})


async def name_file(connection: AsyncConnection, *, organization_id: UUID, message_id: UUID, reference: str) -> bool:
    """Let a message keep a file; false if the file is not on record any more: it was deleted."""
    row = {"organization": organization_id, "message": message_id, "reference": reference}
    return bool((await connection.execute(_LINK, row)).scalar_one())


async def name_files(
    connection: AsyncConnection, *, organization_id: UUID, campaign_id: UUID, references: Mapping[str, str]
) -> None:
    """Let a campaign keep files, which are given by field; raises ``Invalid`` for one that was deleted."""
    if not references:
        return
    f = media_files.c
    held = (
        select(f.reference)
        .where(f.organization_id == organization_id, f.reference.in_(set(references.values())))
        .order_by(f.reference)
        .with_for_update(key_share=True, read=True)
    )
    there = set((await connection.execute(held)).scalars())
    for field, reference in references.items():
        if reference not in there:
            raise Invalid(field, "names no file of yours", remedy="upload it with POST /v1/media")
    rows = [
        {"campaign_id": campaign_id, "organization_id": organization_id, "reference": reference}
        for reference in sorted(there)
    ]
    await connection.execute(insert(campaign_files).on_conflict_do_nothing(), rows)


async def unname_files(
    connection: AsyncConnection, *, campaign_id: UUID, kept: Iterable[str] = (), at: datetime
) -> None:
    """Take from a campaign the files that it names no more; those that nobody names are deleted."""
    gone = (
        delete(campaign_files)
        .where(campaign_files.c.campaign_id == campaign_id, campaign_files.c.reference.not_in(set(kept)))
        .returning(campaign_files.c.reference)
    )
    await _check(connection, set((await connection.execute(gone)).scalars()), at)


async def let_go(connection: AsyncConnection, named: Iterable[tuple[UUID, UUID, object]], *, at: datetime) -> None:
    """Note, in the transaction in which messages lose their contents, which files they named.

    ``named`` are organization, message, and what its content says. What is no reference of the organization's is
    passed over: a content may say anything.
    """
    found: set[str] = set()
    message_ids: list[UUID] = []
    for organization_id, message_id, reference in named:
        if isinstance(reference, str) and is_reference(organization_id, reference):
            found.add(reference)
            message_ids.append(message_id)
    await _unlink(connection, message_ids)
    await _check(connection, found, at)


async def let_go_unnamed(connection: AsyncConnection, *, reference: str, at: datetime) -> None:
    """Note that a file was stored for a message that is gone."""
    await _check(connection, {reference}, at)


async def _unlink(connection: AsyncConnection, message_ids: Sequence[UUID]) -> None:
    if message_ids:
        statement = text("DELETE FROM message_files WHERE message_id = ANY(CAST(:ids AS uuid[]))")
        await connection.execute(statement, {"ids": list(message_ids)})


async def _check(connection: AsyncConnection, references: set[str], at: datetime) -> None:
    if references:
        await connection.execute(_LET_GO, {"references": sorted(references), "at": at})
