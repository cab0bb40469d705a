"""How a gateway that can be asked for a contact's files says so."""

from typing import ClassVar, Protocol, cast
from uuid import UUID

from berrante.gateways.media.store import Stored


class MediaUnavailable(Exception):
    """WhatsApp did not hand out the file; ``again`` says whether trying again may help."""

    code: ClassVar[str] = "media_unavailable"

    def __init__(self, reason: str, *, again: bool) -> None:
        super().__init__(f"the file cannot be fetched: {reason}")
        self.again = again


class MediaTooLarge(MediaUnavailable):
    """The file is larger than WhatsApp allows any to be."""

    code = "media_too_large"

    def __init__(self, size: int, *, most: int) -> None:
        super().__init__(f"it has {size} bytes or more, and {most} is the most", again=False)


class FetchesMedia(Protocol):
    """A gateway whose incoming media messages name files that it can fetch into a media store."""

    async def fetch_media(self, *, organization_id: UUID, instance_id: str, media_id: str) -> Stored:
        """Fetch a file and store it; raises ``MediaUnavailable``."""
        ...


def fetches_media(gateway: object) -> FetchesMedia | None:
    """Return the gateway if it fetches files at all, also one in a wrapper that passes calls on."""
    return cast("FetchesMedia", gateway) if callable(getattr(gateway, "fetch_media", None)) else None
