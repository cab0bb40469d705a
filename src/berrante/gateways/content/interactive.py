"""Messages that offer answers to tap: up to three buttons, or a list."""

from dataclasses import dataclass
from typing import ClassVar

from berrante.gateways.content import checking
from berrante.gateways.content.checking import ContentInvalid
from berrante.gateways.content.media import MediaContent, MediaKind


@dataclass(frozen=True, kw_only=True, slots=True)
class Button:
    """One answer: ``id`` (1 to 256 characters) comes back when it is tapped, ``title`` (1 to 20) is shown."""

    id: str
    title: str

    def __post_init__(self) -> None:
        checking.text(self.id, "button.id", most=256)
        checking.text(self.title, "button.title", most=20)


@dataclass(frozen=True, kw_only=True, slots=True)
class ButtonsContent:
    """A text with 1 to 3 reply buttons; body 1024 characters, header and footer 60; the header may be a picture.

    Source: Meta, "Interactive reply buttons messages".
    """

    body: str
    buttons: tuple[Button, ...]
    header: str | None = None
    header_media: MediaContent | None = None
    footer: str | None = None
    type: ClassVar[str] = "buttons"

    def __post_init__(self) -> None:
        checking.text(self.body, "body", most=1_024)
        checking.text(self.header, "header", most=60)
        checking.text(self.footer, "footer", most=60)
        checking.number_of(self.buttons, "buttons", most=3)
        checking.distinct([button.id for button in self.buttons], "buttons.id")
        checking.distinct([button.title for button in self.buttons], "buttons.title")
        media = self.header_media
        if media is not None:
            if self.header is not None:
                raise ContentInvalid("header", "is given twice", remedy="give header or header_media")
            if media.kind not in {MediaKind.IMAGE, MediaKind.VIDEO, MediaKind.DOCUMENT} or media.caption is not None:
                raise ContentInvalid("header_media", "does not fit", remedy="give image, video or document, no caption")


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One line of a list: ``id`` 1 to 200 characters, ``title`` 1 to 24, ``description`` up to 72."""

    id: str
    title: str
    description: str | None = None

    def __post_init__(self) -> None:
        checking.text(self.id, "row.id", most=200)
        checking.text(self.title, "row.title", most=24)
        checking.text(self.description, "row.description", most=72)


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Some rows under a title (1 to 24 characters), which a list with several sections needs."""

    rows: tuple[Row, ...]
    title: str | None = None

    def __post_init__(self) -> None:
        checking.text(self.title, "section.title", most=24)
        checking.number_of(self.rows, "section.rows", most=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class ListContent:
    """A text whose button opens a list of up to 10 rows in up to 10 sections.

    Body 4096 characters, header and footer 60, the button's text 20. Source: Meta, "Interactive list messages".
    """

    body: str
    button: str
    sections: tuple[Section, ...]
    header: str | None = None
    footer: str | None = None
    type: ClassVar[str] = "list"

    def __post_init__(self) -> None:
        checking.text(self.body, "body", most=4_096)
        checking.text(self.button, "button", most=20)
        checking.text(self.header, "header", most=60)
        checking.text(self.footer, "footer", most=60)
        checking.number_of(self.sections, "sections", most=10)
        rows = [row for section in self.sections for row in section.rows]
        checking.number_of(rows, "rows of all sections", most=10)
        checking.distinct([row.id for row in rows], "rows.id")
        if len(self.sections) > 1 and any(section.title is None for section in self.sections):
            raise ContentInvalid("section.title", "is missing", remedy="with several sections, give each a title")
