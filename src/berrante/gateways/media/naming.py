"""What files are called, whatever keeps them: the organization, the SHA-256, and an ending that tells the type."""

import hashlib
import re
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


def named(organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
    """Return what a file will be known by; a kind that WhatsApp does not carry is kept as plain bytes."""
    return named_by(organization_id, sha256=hashlib.sha256(data).hexdigest(), size=len(data), mime_type=mime_type)


def named_by(organization_id: UUID, *, sha256: str, size: int, mime_type: str) -> Stored:
    """Return the same of a file whose bytes are elsewhere."""
    plain = mime_type.partition(";")[0].strip().lower()
    ending = _ENDINGS.get(plain, _OTHER[1])
    return Stored(reference=f"{organization_id}/{sha256}{ending}", mime_type=_TYPES[ending], size=size)


def is_reference(organization_id: UUID, text: str) -> bool:
    """Tell whether a text can be the reference of a file of the organization's."""
    match = _REFERENCE.fullmatch(text)
    return match is not None and match["owner"] == str(organization_id) and match["ending"] in _TYPES


def mime_type_of(organization_id: UUID, reference: str) -> str:
    """Return the type of a file of the organization's; raises ``MediaMissing`` for what cannot be one."""
    # The owner stands in the reference: whoever guesses another's hash still does not get the file.
    if not is_reference(organization_id, reference):
        raise MediaMissing(reference)
    return _TYPES[f".{reference.rpartition('.')[2]}"]
