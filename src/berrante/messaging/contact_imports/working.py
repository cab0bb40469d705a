"""Works on imports, a batch per transaction: killed at any point, an import goes on where its last batch ended."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row as DatabaseRow
from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, Snooze, Unrecoverable
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contact_imports.jobs import ImportPayload, import_job
from berrante.messaging.contact_imports.layout import Layout, Unreadable, header_of
from berrante.messaging.contact_imports.models import contact_import_chunks, contact_import_errors, contact_imports
from berrante.messaging.contact_imports.reading import read_records
from berrante.messaging.contact_imports.rows import Reader, Rejected, Row
from berrante.messaging.contact_imports.service import CHUNK, ContactImport, import_of
from berrante.messaging.contact_imports.writing import write_rows
from berrante.messaging.endpoints.emitting import Happening, Told, emit_all, enqueue
from berrante.messaging.errors import QuotaExceeded
from berrante.messaging.lost_jobs import LostJobs, Whereabouts
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.store import Database

MAX_ROWS: Final = 1_000_000
#: Rows of a batch at most, so that a batch takes about a second.
_BATCH: Final = 5_000
#: Batches of one run of the job: then others of the queue have their turn.
_RUN: Final = 10
_GRACE: Final = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class _Done:
    """How far a batch came, and what it found."""

    size: int
    lines: int
    rows: list[Row]
    rejected: list[Rejected]


class ImportWork:
    """Advances imports; several may work on one, each batch is done once."""

    def __init__(self, *, database: Database, queues: Queues | None, clock: Clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock

    async def run(
        self, organization_id: UUID, import_id: UUID, *, told: Callable[[ContactImport], None] | None = None
    ) -> ContactImport:
        """Work on an import to its end, telling how far it is after each batch."""
        while True:
            current = await self.advance(organization_id, import_id)
            if told is not None:
                told(current)
            if current.is_finished:
                return current

    async def handle(self, job: Job) -> object:
        """Work on an import for a while; raises ``Unrecoverable`` for one that is not there."""
        payload = read(job, ImportPayload)
        for _ in range(_RUN):
            current = await self.advance(payload.organization_id, payload.import_id)
            if current.is_finished:
                counts = {"created": current.created, "updated": current.updated, "rejected": current.rejected}
                return {"status": current.status, **counts}
        return Snooze(0)

    async def advance(self, organization_id: UUID, import_id: UUID) -> ContactImport:
        """Do the next batch and return how far the import is; nothing if it is finished."""
        own = (contact_imports.c.organization_id == organization_id, contact_imports.c.id == import_id)
        told: list[Told] = []
        async with self._database.begin() as connection:
            # Of two who work on one import, the second waits here and finds the next batch.
            lock = select(contact_imports).where(*own).with_for_update()
            row = (await connection.execute(lock)).one_or_none()
            if row is None:
                raise Unrecoverable(f"organization {organization_id} has no import {import_id}")
            if row.finished_at is None:
                try:
                    async with connection.begin_nested():
                        changes, happenings = await self._batch(connection, row)
                        told = await emit_all(connection, happenings)
                except (Unreadable, QuotaExceeded) as error:
                    changes = {"status": "failed", "reason": str(error)}
                now = moment(self._clock())
                if changes["status"] != "running":
                    changes["finished_at"] = now
                    chunks = contact_import_chunks.c.import_id == import_id
                    await connection.execute(delete(contact_import_chunks).where(chunks))
                statement = update(contact_imports).where(*own).values(**changes, updated_at=now)
                row = (await connection.execute(statement.returning(contact_imports))).one()
        if self._queues is not None:  # else the reconciler adds their jobs
            await enqueue(self._queues, told)
        return import_of(row._mapping)

    async def restore(self) -> int:
        """Add the jobs of imports that nobody works on; return how many. An import whose job failed has failed."""
        assert self._queues is not None
        queue, lost = self._queues.maintenance, LostJobs(self._queues.maintenance)
        idle = select(contact_imports.c.id, contact_imports.c.organization_id, contact_imports.c.instance_id).where(
            contact_imports.c.status.in_(["waiting", "running"]),
            contact_imports.c.updated_at < moment(self._clock()) - _GRACE,
        )
        async with self._database.begin() as connection:
            rows = (await connection.execute(idle)).all()
        jobs = [
            import_job(queue, organization_id=row.organization_id, instance_id=row.instance_id, import_id=row.id)
            for row in rows
        ]
        places = await lost.whereabouts([f"import-{row.id}" for row in rows])
        added = 0
        for row, job, place in zip(rows, jobs, places, strict=True):
            match place:
                case Whereabouts.FAILED:
                    await self._give_up(row.id)
                case Whereabouts.GONE:
                    await queue.add_bulk([job])
                    added += 1
                case Whereabouts.COMPLETED:
                    added += await lost.add_again(job)
        return added

    async def _batch(
        self, connection: AsyncConnection, row: DatabaseRow[Any]
    ) -> tuple[dict[str, Any], Sequence[Happening]]:
        window = await _window(connection, row.id, row.bytes_done)
        is_last = row.bytes_done + len(window) >= row.bytes_total
        now = moment(self._clock())
        if row.layout is None:
            layout, header = header_of(window, is_last=is_last)
            at = {"bytes_done": header, "lines_done": 1, "layout": layout.as_json()}
            return {**at, "status": "done" if header >= row.bytes_total else "running"}, ()
        reader = Reader(
            layout=Layout.of(row.layout), country=row.country, now=now, by=row.by, source=f"import {row.filename or ''}"
        )
        done = await asyncio.to_thread(_read, window, reader, line=row.lines_done + 1, is_last=is_last)
        if done.size == 0 and window:
            raise Unreadable(row.lines_done + 1, f"is longer than {len(window)} bytes: is a quote not closed?")
        if row.created + row.updated + row.rejected + len(done.rows) + len(done.rejected) > MAX_ROWS:
            raise Unreadable(row.lines_done + 1, f"is beyond {MAX_ROWS} rows: split the file")
        place = {"organization_id": row.organization_id, "instance_id": row.instance_id}
        written = await write_rows(connection, done.rows, **place, now=now)
        rejected = sorted([*done.rejected, *written.rejected], key=lambda each: each.line)
        if rejected:
            errors = [
                {
                    "import_id": row.id,
                    "organization_id": row.organization_id,
                    "line": each.line,
                    "column": each.column,
                    "reason": each.reason,
                }
                for each in rejected
            ]
            await connection.execute(insert(contact_import_errors), errors)
        changes = {
            "status": "done" if row.bytes_done + done.size >= row.bytes_total else "running",
            "bytes_done": row.bytes_done + done.size,
            "lines_done": row.lines_done + done.lines,
            "created": row.created + written.created,
            "updated": row.updated + written.updated,
            "rejected": row.rejected + len(rejected),
        }
        return changes, written.happenings

    async def _give_up(self, import_id: UUID) -> None:
        statement = update(contact_imports).where(
            contact_imports.c.id == import_id, contact_imports.c.finished_at.is_(None)
        )
        values = {"status": "failed", "reason": "its job failed for good: see the dead letters of 'maintenance'"}
        async with self._database.begin() as connection:
            await connection.execute(statement.values(**values, finished_at=func.now()))
            chunks = contact_import_chunks.c.import_id == import_id
            await connection.execute(delete(contact_import_chunks).where(chunks))


async def _window(connection: AsyncConnection, import_id: UUID, position: int) -> bytes:
    """Return the file from a position on, between one and two chunks of it."""
    first = position // CHUNK * CHUNK
    query = (
        select(contact_import_chunks.c.data)
        .where(contact_import_chunks.c.import_id == import_id, contact_import_chunks.c.position >= first)
        .order_by(contact_import_chunks.c.position)
        .limit(2)
    )
    return b"".join((await connection.execute(query)).scalars())[position - first :]


def _read(window: bytes, reader: Reader, *, line: int, is_last: bool) -> _Done:
    found = read_records(window, line=line, delimiter=reader.layout.delimiter, is_last=is_last, most=_BATCH)
    rows: list[Row] = []
    rejected: list[Rejected] = []
    for record in found.records:
        match reader.read(record):
            case Row() as row:
                rows.append(row)
            case Rejected() as problem:
                rejected.append(problem)
    return _Done(found.size, found.lines, rows, rejected)
