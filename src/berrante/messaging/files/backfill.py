"""Goes through the messages and campaigns that are older than the records of files, so that their files stay.

Up to a day after the migration, processes of the version before may still write messages: those are gone through too.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import TextClause, delete, func, literal_column, select, text, type_coerce, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.media import is_reference
from berrante.messaging.campaigns.models import campaigns
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.files.keeping import record_named
from berrante.messaging.files.models import media_backfill
from berrante.messaging.messages.files import file_in, has_file
from berrante.messaging.messages.models import messages
from berrante.store import Database, first_id

_BATCH: Final = 5_000
#: Of one run.
_BATCHES: Final = 20
#: A message's id is older than its commit.
_SETTLED: Final = timedelta(hours=1)
_LINK: Final = """
    INSERT INTO {table} ({column}, organization_id, reference)
    SELECT given.id, CAST(split_part(given.reference, '/', 1) AS uuid), given.reference
      FROM unnest(CAST(:ids AS uuid[]), CAST(:references AS text[])) AS given (id, reference)
        ON CONFLICT DO NOTHING
"""
_LINK_MESSAGES: Final = text(_LINK.format(table="message_files", column="message_id"))
_LINK_CAMPAIGNS: Final = text(_LINK.format(table="campaign_files", column="campaign_id"))
_m = messages.c
#: What names, whose it is, and what it names.
_Named = tuple[UUID, UUID, str]


class Backfill:
    """Goes on where it was cut off; each batch is a transaction of its own."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def go_on(self) -> tuple[int, bool]:
        """Record the files of some more messages; return how many were read, and whether all are."""
        read = 0
        for _ in range(_BATCHES):
            number, whole, more = await self._batch()
            read += number
            if whole or not more:
                return read, whole
        return read, False

    async def _batch(self) -> tuple[int, bool, bool]:
        """Return how many messages were read, whether these were the last, and whether more are there by now."""
        now = moment(self._clock())
        async with self._database.begin() as connection:
            state = (await connection.execute(select(media_backfill).with_for_update())).one_or_none()
            if state is None:
                return 0, True, False
            end = min(state.until, now - _SETTLED)
            last, number = await _last(connection, state.after_id, first_id(milliseconds(end)))
            await _record(connection, await _with_files(connection, state.after_id, last), _LINK_MESSAGES)
            if number == _BATCH or end < state.until:
                await connection.execute(update(media_backfill).values(after_id=last))
                return number, False, number == _BATCH
            # All at once: there are few, next to messages.
            await _record(connection, await _of_campaigns(connection), _LINK_CAMPAIGNS)
            await connection.execute(delete(media_backfill))
            return number, True, False


async def _last(connection: AsyncConnection, after: UUID, end: UUID) -> tuple[UUID, int]:
    """Return the last message of a batch, and how many it has; of none, the batch ends where it begins."""
    ids = select(_m.id).where(_m.id > after, _m.id < end).order_by(_m.id).limit(_BATCH).subquery()
    last = select(ids.c.id, func.count().over().label("number")).order_by(ids.c.id.desc()).limit(1)
    row = (await connection.execute(last)).one_or_none()
    return (row.id, row.number) if row else (after, 0)


async def _with_files(connection: AsyncConnection, after: UUID, last: UUID) -> list[_Named]:
    """Return the messages that name a file, locked: what erases one meanwhile waits, and finds what it named."""
    query = (
        select(_m.id, _m.organization_id, file_in)
        .where(_m.id > after, _m.id <= last, has_file)
        .order_by(_m.id)
        .with_for_update(read=True)
    )
    return [(id_, owner, reference) for id_, owner, reference in await connection.execute(query)]


async def _of_campaigns(connection: AsyncConnection) -> list[_Named]:
    media_ids = func.jsonb_path_query_array(campaigns.c.content, literal_column("'$.**.media_id'::jsonpath"))
    query = select(campaigns.c.id, campaigns.c.organization_id, type_coerce(media_ids, JSONB).label("media_ids"))
    return [
        (row.id, row.organization_id, f"{row.organization_id}/{media_id}")
        for row in await connection.execute(query.with_for_update(read=True))
        for media_id in row.media_ids
    ]


async def _record(connection: AsyncConnection, found: Sequence[_Named], link: TextClause) -> None:
    named = [(id_, reference) for id_, owner, reference in found if is_reference(owner, reference)]
    if named:
        references = [reference for _, reference in named]
        await record_named(connection, references)
        await connection.execute(link, {"ids": [id_ for id_, _ in named], "references": references})
