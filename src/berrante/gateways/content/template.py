"""Messages that Meta approved beforehand: the only ones that may open a conversation."""

import enum
import re
from dataclasses import dataclass
from typing import ClassVar, Final

from berrante.gateways.content import checking
from berrante.gateways.content.checking import ContentInvalid
from berrante.gateways.content.media import MediaContent, MediaKind

_NAME: Final = re.compile(r"[a-z0-9_]{1,512}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(_[A-Z]{2,3})?")


class Place(enum.StrEnum):
    """Which part of a template the parameters fill."""

    HEADER = "header"
    BODY = "body"
    BUTTON = "button"


class ButtonKind(enum.StrEnum):
    """What a template's button does when it is tapped."""

    QUICK_REPLY = "quick_reply"
    URL = "url"
    COPY_CODE = "copy_code"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parameter:
    """What stands in place of one variable: a text, or in a header a file. ``name`` is for templates that name them."""

    text: str | None = None
    media: MediaContent | None = None
    name: str | None = None

    def __post_init__(self) -> None:
        if (self.text is None) == (self.media is None):
            raise ContentInvalid("parameter", "is no text and no media, or both", remedy="give exactly one of them")
        checking.text(self.text, "parameter.text", most=32_768)
        checking.text(self.name, "parameter.name", most=100)
        if self.media is not None and (
            self.media.kind in {MediaKind.AUDIO, MediaKind.STICKER} or self.media.caption is not None
        ):
            raise ContentInvalid("parameter.media", "does not fit", remedy="give image, video or document, no caption")


@dataclass(frozen=True, kw_only=True, slots=True)
class Component:
    """The parameters of one part; a button is named by its ``index`` (0 to 9) and ``button`` kind."""

    place: Place
    parameters: tuple[Parameter, ...]
    button: ButtonKind | None = None
    index: int | None = None

    def __post_init__(self) -> None:
        checking.number_of(self.parameters, "component.parameters", most=100)
        is_button = self.place is Place.BUTTON
        if is_button != (self.button is not None) or is_button != (self.index is not None):
            raise ContentInvalid(
                "component.index", f"does not fit place {self.place.value}", remedy="give button and index for buttons"
            )
        if self.index is not None and not 0 <= self.index <= 9:
            raise ContentInvalid("component.index", f"is {self.index}", remedy="give 0 to 9")
        if self.place is not Place.HEADER and any(parameter.media for parameter in self.parameters):
            raise ContentInvalid("parameter.media", "stands outside the header", remedy="files go into the header")
        if self.place is Place.HEADER:
            checking.number_of(self.parameters, "header.parameters", most=1)
            checking.text(self.parameters[0].text, "header.parameter.text", most=60)


@dataclass(frozen=True, kw_only=True, slots=True)
class TemplateContent:
    """An approved template with its variables filled in.

    ``name`` holds up to 512 of a-z, 0-9 and '_'; ``language`` is Meta's code, for instance ``pt_BR``. Whether the
    parameters are those of the template, only Meta knows (132000, 132012). Source: Meta, "Template messages".
    """

    name: str
    language: str
    components: tuple[Component, ...] = ()
    type: ClassVar[str] = "template"

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ContentInvalid("name", f"is {self.name[:60]!r}", remedy="give 1 to 512 of a-z, 0-9 and '_'")
        if not _LANGUAGE.fullmatch(self.language):
            raise ContentInvalid("language", f"is {self.language[:20]!r}", remedy="give a code such as pt_BR or en")
        places = [f"{component.place.value}.{component.index}" for component in self.components]
        checking.distinct(places, "components")
