"""A media store in a folder: of one machine, or a network file system that all machines share."""

import asyncio
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO, ClassVar
from uuid import UUID

from berrante.gateways.media.naming import mime_type_of, named, named_by
from berrante.gateways.media.spooling import Spooled
from berrante.gateways.media.store import MediaMissing, MediaStoreUnavailable, Stored


class FolderMediaStore:
    """Files named by their SHA-256, in one folder per organization. A file is whole or not there."""

    name: ClassVar[str] = "folder"

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
        """Write the file and see it to the disk; a kind that WhatsApp does not carry is kept as plain bytes."""
        return await asyncio.to_thread(self._put, organization_id, data, mime_type)

    async def put_spooled(self, organization_id: UUID, file: Spooled, *, mime_type: str) -> Stored:
        """Copy the file and see it to the disk."""
        stored = named_by(organization_id, sha256=file.sha256, size=file.size, mime_type=mime_type)
        await asyncio.to_thread(self._write, stored, file.copy_to)
        return stored

    async def get(self, organization_id: UUID, reference: str) -> tuple[Stored, bytes]:
        """Read the file; raises ``MediaMissing``."""
        mime_type = mime_type_of(organization_id, reference)
        try:
            data = await asyncio.to_thread((self._root / reference).read_bytes)
        except FileNotFoundError:
            raise MediaMissing(reference) from None
        return Stored(reference=reference, mime_type=mime_type, size=len(data)), data

    async def find(self, organization_id: UUID, reference: str) -> Stored:
        """Look at the file without reading it; raises ``MediaMissing``."""
        mime_type = mime_type_of(organization_id, reference)
        try:
            status = await asyncio.to_thread((self._root / reference).stat)
        except FileNotFoundError:
            raise MediaMissing(reference) from None
        return Stored(reference=reference, mime_type=mime_type, size=status.st_size)

    async def delete(self, organization_id: UUID, reference: str) -> None:
        """Delete the file, if it is there; raises ``MediaMissing`` for what cannot be one."""
        mime_type_of(organization_id, reference)
        await asyncio.to_thread((self._root / reference).unlink, missing_ok=True)

    async def check(self) -> str:
        """Return where files are kept; raises ``MediaStoreUnavailable`` if none can be."""
        try:
            await asyncio.to_thread(self._try_to_write)
        except OSError as error:
            raise MediaStoreUnavailable(
                f"folder {str(self._root)!r} cannot be written ({error.strerror})",
                remedy="correct its owner, or BERRANTE_MEDIA_DIR",
            ) from error
        return str(self._root)

    async def close(self) -> None:
        """Nothing is open."""

    def _try_to_write(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self._root):
            pass

    def _put(self, organization_id: UUID, data: bytes, mime_type: str) -> Stored:
        stored = named(organization_id, data, mime_type=mime_type)
        self._write(stored, lambda file: file.write(data))
        return stored

    def _write(self, stored: Stored, fill: Callable[[IO[bytes]], object]) -> None:
        path = self._root / stored.reference
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    fill(file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
