"""The media store as the application uses it: a file is on record before it is there."""

from datetime import timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert

from berrante.gateways.media import MediaStore, Spooled, Stored, named, named_by
from berrante.messaging.clock import Clock, moment
from berrante.messaging.files.keeping import record
from berrante.messaging.files.models import media_files
from berrante.store import Database


class RegisteredMedia:
    """A media store whose files are in ``media_files``: killed at any point, none is there that nobody knows of.

    A file that is named by no message and no campaign goes ``unnamed_for`` after it was stored.
    """

    def __init__(self, store: MediaStore, database: Database, *, clock: Clock, unnamed_for: timedelta) -> None:
        self._store = store
        self._database = database
        self._clock = clock
        self._unnamed_for = unnamed_for

    @property
    def name(self) -> str:
        """Return what kind of store it is."""
        return self._store.name

    async def put(self, organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
        """Put the file on record, and store it."""
        await self._record(organization_id, named(organization_id, data, mime_type=mime_type))
        return await self._store.put(organization_id, data, mime_type=mime_type)

    async def put_spooled(self, organization_id: UUID, file: Spooled, *, mime_type: str) -> Stored:
        """Do the same with a file that is not in memory."""
        stored = named_by(organization_id, sha256=file.sha256, size=file.size, mime_type=mime_type)
        await self._record(organization_id, stored)
        return await self._store.put_spooled(organization_id, file, mime_type=mime_type)

    async def _record(self, organization_id: UUID, stored: Stored) -> None:
        now = moment(self._clock())
        async with self._database.tenant(organization_id) as connection:
            # Waits for whoever deletes the same file at this moment.
            await record(
                connection,
                organization_id=organization_id,
                reference=stored.reference,
                at=now,
                check_at=now + self._unnamed_for,
            )

    async def get(self, organization_id: UUID, reference: str) -> tuple[Stored, bytes]:
        """Read the file; raises ``MediaMissing``."""
        return await self._store.get(organization_id, reference)

    async def find(self, organization_id: UUID, reference: str) -> Stored:
        """Look at the file without reading it, and see that it is on record; raises ``MediaMissing``."""
        found = await self._store.find(organization_id, reference)
        now = moment(self._clock())
        row = {
            "organization_id": organization_id,
            "reference": reference,
            "stored_at": now,
            "check_at": now + self._unnamed_for,
        }
        async with self._database.tenant(organization_id) as connection:
            added = await connection.execute(insert(media_files).on_conflict_do_nothing(), row)
        # It is older than the records, or it was deleted just now.
        return await self._store.find(organization_id, reference) if added.rowcount else found

    async def delete(self, organization_id: UUID, reference: str) -> None:
        """Delete the file, whoever names it: ``FileSweeper`` knows who does, and forgets the record."""
        await self._store.delete(organization_id, reference)

    async def check(self) -> str:
        """Return where files are kept; raises ``MediaStoreUnavailable`` if they cannot be."""
        return await self._store.check()

    async def close(self) -> None:
        """Close the store."""
        await self._store.close()
