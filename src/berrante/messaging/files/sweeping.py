"""Deletes the files that nobody names any more, and those that nobody ever named."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, bindparam, delete, exists, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.media import MediaMissing, MediaStore
from berrante.messaging.clock import Clock, moment
from berrante.messaging.files.backfill import Backfill
from berrante.messaging.files.models import campaign_files, media_files, message_files
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations.models import organizations
from berrante.store import Database

_BATCH: Final = 50
#: Of one run: it shares its worker with the reconciler, and the next run goes on.
_BATCHES: Final = 20
_AT_ONCE: Final = 8
#: Of one file: its row is locked as long, and whoever names it then waits.
_TIMEOUT_S: Final = 20
_LATER: Final = timedelta(minutes=10)
_log: Final = logging.getLogger(__name__)
_f = media_files.c


@dataclass(kw_only=True, slots=True)
class FilesSwept:
    """What one run did: ``kept`` are named after all, ``failed`` are tried again in ten minutes.

    ``read`` are messages from before there were records, which come first: nothing is deleted until all are read.
    """

    deleted: int = 0
    kept: int = 0
    failed: int = 0
    read: int = 0


class FileSweeper:
    """Safe to run at any time, twice at once, and to cut off: the record goes after the file."""

    def __init__(self, *, database: Database, store: MediaStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock
        self._backfill = Backfill(database, clock)

    async def sweep(self) -> FilesSwept:
        """Delete what is due and unnamed; what the store did not delete stays on record."""
        result = FilesSwept()
        result.read, whole = await self._backfill.go_on()
        if not whole:
            return result
        for _ in range(_BATCHES):
            more = await self._batch(result)
            if result.failed:
                _log.warning(
                    "files were not deleted (%d): berrante doctor says what the media store lacks; they are tried "
                    "again in %d minutes",
                    result.failed,
                    _LATER // timedelta(minutes=1),
                )
                break
            if not more:
                break
        return result

    async def check_orphans(self) -> int:
        """Have the files looked at whose organization is gone; return how many there are."""
        orphan = ~exists().where(organizations.c.id == _f.organization_id)
        due = update(media_files).where(_f.check_at.is_(None), orphan).values(check_at=moment(self._clock()))
        async with self._database.begin() as connection:
            return (await connection.execute(due)).rowcount

    async def _batch(self, result: FilesSwept) -> bool:
        now = moment(self._clock())
        async with self._database.begin() as connection:
            rows = await _due(connection, now)
            named = await _named(connection, rows)
            unnamed = [row for row in rows if row.reference not in named]
            deleted, failed = await self._delete(unnamed)
            await connection.execute(delete(media_files).where(_f.reference.in_(deleted)))
            await _put_off(connection, named, None)
            await _put_off(connection, failed, now + _LATER)
        result.deleted += len(deleted)
        result.kept += len(named)
        result.failed += len(failed)
        return len(rows) == _BATCH

    async def _delete(self, rows: Sequence[Row[Any]]) -> tuple[list[str], list[str]]:
        """Return which files were deleted, and which were not; after a failure no more are begun."""
        deleted: list[str] = []
        failed: list[str] = []
        places = asyncio.Semaphore(_AT_ONCE)

        async def one(row: Row[Any]) -> None:
            async with places:
                if failed:
                    return
                try:
                    async with asyncio.timeout(_TIMEOUT_S):
                        await self._store.delete(row.organization_id, row.reference)
                except (OSError, MediaMissing) as error:  # a time-out is an OSError
                    _log.warning("file %s is not deleted: %s", row.reference, str(error) or type(error).__name__)
                    failed.append(row.reference)
                else:
                    deleted.append(row.reference)

        await asyncio.gather(*(one(row) for row in rows))
        return deleted, failed


async def _due(connection: AsyncConnection, now: datetime) -> Sequence[Any]:
    """Return files that are to be looked at, locked against being named."""
    query = (
        select(_f.reference, _f.organization_id)
        .where(_f.check_at <= now)
        .order_by(_f.check_at)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    )
    return (await connection.execute(query)).all()


async def _named(connection: AsyncConnection, rows: Sequence[Any]) -> set[str]:
    """Return which of them are named: a statement after the lock, which sees whoever named one before."""
    by_message = exists().where(message_files.c.reference == _f.reference, messages.c.id == message_files.c.message_id)
    by_campaign = exists().where(campaign_files.c.reference == _f.reference)
    mine = _f.reference.in_([row.reference for row in rows])
    return set((await connection.execute(select(_f.reference).where(mine, or_(by_message, by_campaign)))).scalars())


async def _put_off(connection: AsyncConnection, references: "Sequence[str] | set[str]", until: datetime | None) -> None:
    statement = update(media_files).where(_f.reference.in_(sorted(references))).values(check_at=bindparam("until"))
    await connection.execute(statement, {"until": until})
