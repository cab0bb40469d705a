"""Pictures, films, sounds, files and stickers."""

import enum
from dataclasses import dataclass
from typing import Final

from berrante.gateways.content import checking
from berrante.gateways.content.checking import ContentInvalid


class MediaKind(enum.StrEnum):
    """What is shown; each is a message type of its own to WhatsApp."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    DOCUMENT = "document"
    STICKER = "sticker"


_CAPTIONED: Final = frozenset({MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT})


@dataclass(frozen=True, kw_only=True, slots=True)
class MediaContent:
    """One file, named in exactly one way.

    ``id`` is one that WhatsApp gave for an upload (30 days), ``link`` an address that Meta's servers fetch from, and
    ``stored`` a reference of our media store, uploaded by the gateway when it is first sent. A caption has up to 1024
    characters and goes with image, video and document; a file name goes with a document.
    Source: Meta, "Media messages".

    >>> MediaContent(kind=MediaKind.AUDIO, id="1", caption="hi")
    Traceback (most recent call last):
    ...
    berrante.gateways.content.checking.ContentInvalid: caption goes not with audio: send the text by itself
    """

    kind: MediaKind
    id: str | None = None
    link: str | None = None
    stored: str | None = None
    caption: str | None = None
    filename: str | None = None

    def __post_init__(self) -> None:
        named = [name for name in ("id", "link", "stored") if getattr(self, name) is not None]
        if len(named) != 1:
            given = " and ".join(named) or "none"
            raise ContentInvalid("media", f"has {given} of id, link, stored", remedy="give exactly one of them")
        checking.text(self.id, "id", most=200)
        checking.link(self.link, "link")
        checking.text(self.stored, "stored", most=300)
        checking.text(self.caption, "caption", most=1_024)
        checking.text(self.filename, "filename", most=240)
        if self.caption is not None and self.kind not in _CAPTIONED:
            raise ContentInvalid("caption", f"goes not with {self.kind.value}", remedy="send the text by itself")
        if self.filename is not None and self.kind is not MediaKind.DOCUMENT:
            raise ContentInvalid("filename", f"goes not with {self.kind.value}", remedy="give it for a document alone")

    @property
    def type(self) -> str:
        """Return WhatsApp's name of the message type."""
        return self.kind.value
