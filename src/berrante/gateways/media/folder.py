"""A media store in a folder: of one machine, or a network file system that all machines share."""

import asyncio
import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Final
from uuid import UUID

from berrante.gateways.media.store import MediaMissing, Stored

#: What WhatsApp carries (Meta, "Supported media types"); the ending keeps the type, since a folder keeps no other.
_ENDINGS: Final = {
    "audio/aac": ".aac",
    "audio/amr": ".amr",
    "audio/mp4": ".m4a",
    "audio/mpeg": ".mp3",
    "audio/ogg": ".ogg",
    "image/jpeg": ".jpg",
    "image/png": ".png",
    "image/webp": ".webp",
    "video/3gp": ".3gp",
    "video/3gpp": ".3gpp",
    "video/mp4": ".mp4",
    "text/plain": ".txt",
    "application/pdf": ".pdf",
    "application/msword": ".doc",
    "application/vnd.ms-excel": ".xls",
    "application/vnd.ms-powerpoint": ".ppt",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": ".docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": ".xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": ".pptx",
}
SENDABLE: Final = frozenset(_ENDINGS)
_OTHER: Final = ("application/octet-stream", ".bin")
_TYPES: Final = {ending: mime_type for mime_type, ending in [*_ENDINGS.items(), _OTHER]}
_REFERENCE: Final = re.compile(r"(?P<owner>[0-9a-f-]{36})/(?P<name>[0-9a-f]{64}(?P<ending>\.[a-z0-9]{2,5}))")


class FolderMediaStore:
    """Files named by their SHA-256, in one folder per organization. A file is whole or not there."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
        """Write the file and see it to the disk; a kind that WhatsApp does not carry is kept as plain bytes."""
        plain = mime_type.partition(";")[0].strip().lower()
        ending = _ENDINGS.get(plain, _OTHER[1])
        return await asyncio.to_thread(self._put, organization_id, data, ending)

    async def get(self, organization_id: UUID, reference: str) -> tuple[Stored, bytes]:
        """Read the file; raises ``MediaMissing``."""
        mime_type = _mime_type(organization_id, reference)
        try:
            data = await asyncio.to_thread((self._root / reference).read_bytes)
        except FileNotFoundError:
            raise MediaMissing(reference) from None
        return Stored(reference=reference, mime_type=mime_type, size=len(data)), data

    async def find(self, organization_id: UUID, reference: str) -> Stored:
        """Look at the file without reading it; raises ``MediaMissing``."""
        mime_type = _mime_type(organization_id, reference)
        try:
            status = await asyncio.to_thread((self._root / reference).stat)
        except FileNotFoundError:
            raise MediaMissing(reference) from None
        return Stored(reference=reference, mime_type=mime_type, size=status.st_size)

    def _put(self, organization_id: UUID, data: bytes, ending: str) -> Stored:
        reference = f"{organization_id}/{hashlib.sha256(data).hexdigest()}{ending}"
        path = self._root / reference
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                Path(temporary).replace(path)
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
        return Stored(reference=reference, mime_type=_TYPES[ending], size=len(data))


def _mime_type(organization_id: UUID, reference: str) -> str:
    match = _REFERENCE.fullmatch(reference)
    # The owner stands in the reference: whoever guesses another's hash still does not get the file.
    if match is None or match["owner"] != str(organization_id) or match["ending"] not in _TYPES:
        raise MediaMissing(reference)
    return _TYPES[match["ending"]]
