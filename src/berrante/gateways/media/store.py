"""The protocol of a media store; a folder is one, a bucket that speaks S3 another."""

from dataclasses import dataclass
from typing import ClassVar, Final, Protocol
from uuid import UUID

from berrante.gateways.media.spooling import Spooled

#: What one file may have: WhatsApp takes documents of up to 100 MB, which a process is not to hold in memory.
MAX_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """One file; ``reference`` is what messages carry, and holds for the organization that stored it alone."""

    reference: str
    mime_type: str
    size: int


class MediaMissing(Exception):
    """The store has no such file, or it is another organization's, which looks the same from here."""

    code: ClassVar[str] = "media_missing"

    def __init__(self, reference: str) -> None:
        super().__init__(f"the media store has no {reference[:100]!r}: store the file again")
        self.reference = reference


class MediaStoreUnavailable(OSError):
    """Files cannot be stored or read now, and what to do about it."""

    code: ClassVar[str] = "media_store_unavailable"

    def __init__(self, problem: str, *, remedy: str) -> None:
        super().__init__(f"the media store is away: {problem}; {remedy}")
        self.problem = problem
        self.remedy = remedy


class MediaStore(Protocol):
    """Keeps files. The same bytes of the same kind, stored again by the same organization, are the same reference.

    Each raises ``OSError`` if the store is away.
    """

    @property
    def name(self) -> str:
        """Return what kind of store it is."""
        ...

    async def put(self, organization_id: UUID, data: bytes, *, mime_type: str) -> Stored:
        """Store a file durably."""
        ...

    async def put_spooled(self, organization_id: UUID, file: Spooled, *, mime_type: str) -> Stored:
        """Store a file durably that is not in memory."""
        ...

    async def get(self, organization_id: UUID, reference: str) -> tuple[Stored, bytes]:
        """Return a file; raises ``MediaMissing``."""
        ...

    async def find(self, organization_id: UUID, reference: str) -> Stored:
        """Return what is known of a file, without its bytes; raises ``MediaMissing``."""
        ...

    async def delete(self, organization_id: UUID, reference: str) -> None:
        """Delete a file; one that is not there is deleted already. Raises ``MediaMissing`` for what cannot be one."""
        ...

    async def check(self) -> str:
        """Return where files are kept; raises ``MediaStoreUnavailable`` if they cannot be."""
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
