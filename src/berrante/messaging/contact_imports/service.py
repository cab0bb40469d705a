"""Imports as an organization starts and follows them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Final
from uuid import UUID

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.contact_imports.models import contact_import_chunks, contact_import_errors, contact_imports
from berrante.messaging.contact_imports.rows import Rejected
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.fields import storable
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.tenancy import is_instance_id
from berrante.messaging.phones import country_code
from berrante.store import Database, new_id

MAX_BYTES: Final = 64 * 1024 * 1024
CHUNK: Final = 256 * 1024
_PAGE: Final = 2_000
_LONGEST_NAME: Final = 150  # it stands in the source of consents


@dataclass(frozen=True, kw_only=True, slots=True)
class ContactImport:
    """One import; ``status`` is waiting, running, done or failed (then ``reason`` says why).

    Each row of the file is in one count: ``created``, ``updated`` or ``rejected``. What came before a failure stays.
    """

    id: UUID
    organization_id: UUID
    instance_id: str
    filename: str | None
    country: str | None
    status: str
    reason: str | None
    bytes_total: int
    bytes_done: int
    created: int
    updated: int
    rejected: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None

    @property
    def is_finished(self) -> bool:
        """Tell whether nothing more is to come."""
        return self.finished_at is not None


_COLUMNS: Final = tuple(contact_imports.c[name] for name in ContactImport.__dataclass_fields__)


class ContactImports:
    """Starts, finds and lists imports; who works on them is in ``working``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(
        self,
        source: IO[bytes],
        *,
        organization_id: UUID,
        instance_id: str,
        filename: str | None = None,
        country: str | None = None,
        by: str | None = None,
    ) -> ContactImport:
        """Keep a file that is to be imported, and return its import; the same file again is the import that was.

        ``country`` (two letters) lets numbers be written as at home. The file is read from where it stands, by and
        by. Nothing works on it yet: add its job, or run it. Raises ``Invalid`` and ``Missing``.
        """
        country = country_code(country) if country else None
        digest, size = await asyncio.to_thread(_digest, source, country)
        import_id = new_id()
        row = {
            "id": import_id,
            "organization_id": organization_id,
            "instance_id": instance_id,
            "digest": digest,
            "filename": _shown(filename) if filename else None,
            "country": country,
            "by": by,
            "status": "waiting",
            "bytes_total": size,
        }
        async with self._database.tenant(organization_id) as connection:
            owner = select(instances.c.id).where(
                instances.c.organization_id == organization_id, instances.c.id == instance_id
            )
            if not is_instance_id(instance_id) or (await connection.execute(owner)).one_or_none() is None:
                raise Missing("instance", instance_id[:60])
            new = upsert(contact_imports).values(row).on_conflict_do_nothing(index_elements=["instance_id", "digest"])
            if (await connection.execute(new.returning(contact_imports.c.id))).scalar_one_or_none() is not None:
                await _keep(connection, source, import_id, organization_id)
            same = select(*_COLUMNS).where(
                contact_imports.c.instance_id == instance_id, contact_imports.c.digest == digest
            )
            return import_of((await connection.execute(same)).one()._mapping)

    async def get(self, organization_id: UUID, import_id: UUID) -> ContactImport | None:
        """Return one of an organization's imports, or None."""
        query = select(*_COLUMNS).where(
            contact_imports.c.organization_id == organization_id, contact_imports.c.id == import_id
        )
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return import_of(row._mapping) if row else None

    async def list(self, organization_id: UUID, limit: int = 50, before: UUID | None = None) -> list[ContactImport]:
        """Return an organization's imports, newest first, those older than the id ``before``."""
        query = (
            select(*_COLUMNS)
            .where(contact_imports.c.organization_id == organization_id)
            .order_by(contact_imports.c.id.desc())
            .limit(limit)
        )
        if before is not None:
            query = query.where(contact_imports.c.id < before)
        async with self._database.tenant(organization_id) as connection:
            return [import_of(row._mapping) for row in await connection.execute(query)]

    async def rejected(self, organization_id: UUID, import_id: UUID) -> AsyncIterator[Sequence[Rejected]]:
        """Yield the rows that were refused, in order of their lines, some thousands at a time."""
        last = 0
        table = contact_import_errors.c
        while True:
            query = (
                select(table.line, table.column, table.reason)
                .where(table.organization_id == organization_id, table.import_id == import_id, table.line > last)
                .order_by(table.line)
                .limit(_PAGE)
            )
            async with self._database.tenant(organization_id) as connection:
                page = [Rejected(**row._mapping) for row in await connection.execute(query)]
            if page:
                yield page
            if len(page) < _PAGE:
                return
            last = page[-1].line


def import_of(row: RowMapping) -> ContactImport:
    """Return the import of a row."""
    return ContactImport(**{name: row[name] for name in ContactImport.__dataclass_fields__})


def _shown(filename: str) -> str | None:
    return "".join(filter(str.isprintable, storable(filename))).strip()[:_LONGEST_NAME] or None


def _digest(source: IO[bytes], country: str | None) -> tuple[bytes, int]:
    """Return the digest of the file's content and of what decides how it is read, and its size."""
    source.seek(0)
    digest, size = hashlib.sha256(f"{country or ''}\n".encode()), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        size += len(chunk)
        if size > MAX_BYTES:
            raise Invalid("file", f"has more than {MAX_BYTES} bytes", remedy="split it into several files")
    if size == 0:
        raise Invalid("file", "is empty", remedy="give a CSV file whose first line names the columns")
    return digest.digest(), size


async def _keep(connection: AsyncConnection, source: IO[bytes], import_id: UUID, organization_id: UUID) -> None:
    source.seek(0)
    position = 0
    while chunk := await asyncio.to_thread(source.read, CHUNK):
        row = {"import_id": import_id, "position": position, "organization_id": organization_id, "data": chunk}
        await connection.execute(insert(contact_import_chunks).values(row))
        position += len(chunk)
