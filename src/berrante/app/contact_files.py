"""Contacts in and out of files, for the commands: the same imports as over HTTP, worked on in this process."""

import csv
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO
from uuid import UUID

from berrante.app.engines import open_engines
from berrante.app.errors import NotMigrated
from berrante.app.reaching import newest_revision, reach_database
from berrante.engine.connection import system_clock
from berrante.messaging.contact_imports import ContactImport, ContactImports
from berrante.messaging.contact_imports.working import ImportWork
from berrante.messaging.contacts import Search
from berrante.messaging.contacts.cells import guarded
from berrante.messaging.contacts.exporting import exported
from berrante.messaging.errors import Missing
from berrante.messaging.organizations import Organizations
from berrante.settings import Settings
from berrante.store import Database, revision


async def import_contacts(
    settings: Settings,
    file: IO[bytes],
    *,
    organization: str,
    instance_id: str,
    filename: str,
    country: str | None,
    errors: Path,
    told: Callable[[ContactImport], None],
) -> ContactImport:
    """Import a file to its end, telling how far it is, and write the rows that were refused to ``errors``, if any were.

    Interrupted, the import is finished by a worker's reconciler, or by the same command again. Raises ``Missing``,
    ``Invalid`` and ``OSError``.
    """
    async with _database(settings) as database:
        organization_id = await _organization(database, organization)
        service = ContactImports(database)
        begun = await service.begin(
            file,
            organization_id=organization_id,
            instance_id=instance_id,
            filename=filename,
            country=country,
            by="the command line",
        )
        told(begun)
        work = ImportWork(database=database, queues=None, clock=system_clock)
        done = await work.run(organization_id, begun.id, told=told)
        if done.rejected:
            with errors.open("w", newline="", encoding="utf-8") as written:
                rows = csv.writer(written)
                rows.writerow(["line", "column", "reason"])
                async for page in service.rejected(organization_id, done.id):
                    rows.writerows((each.line, guarded(each.column), guarded(each.reason)) for each in page)
        return done


async def export_contacts(
    settings: Settings, written: IO[str], *, organization: str, instance_id: str | None, tags: tuple[str, ...]
) -> None:
    """Write an organization's contacts as CSV. Raises ``Missing`` and ``Invalid``."""
    async with _database(settings) as database:
        organization_id = await _organization(database, organization)
        async for part in exported(database, organization_id, Search(instance_id=instance_id, tags=tags)):
            written.write(part)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    async with open_engines(settings) as engines:
        database = Database(engines.database_url)
        try:
            await reach_database(database)
            if (found := await revision(engines.database_url)) != newest_revision():
                raise NotMigrated(revision=found, newest=newest_revision())
            yield database
        finally:
            await database.close()


async def _organization(database: Database, named: str) -> UUID:
    """Return the id of an organization that is given by its id or its name."""
    organizations = Organizations(database)
    try:
        found = await organizations.get(UUID(named))
    except ValueError:
        found = await organizations.find(named)
    if found is None:
        raise Missing("organization", named)
    return found.id
