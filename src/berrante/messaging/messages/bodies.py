"""Strict bodies of messages that carry files, and of templates: a request's, and what a campaign's variant becomes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from berrante.gateways.protocol import (
    ButtonKind,
    Component,
    Content,
    MediaContent,
    MediaKind,
    Parameter,
    Place,
    TemplateContent,
)

_URL = Annotated[str, StringConstraints(max_length=2_048, pattern="^https?://")]
#: What ``POST /v1/media`` answers with: the SHA-256 of the file and the ending of its kind.
_MEDIA_ID = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{2,5}$")]
Kind = Literal["image", "video", "audio", "document", "sticker"]
HeaderKind = Literal["image", "video", "document"]

#: A file that WhatsApp is to fetch from an address by itself.
BY_ADDRESS: Final = "media by address"
_EVERYTHING: Final = frozenset({"text", "media", BY_ADDRESS, "template", "buttons", "list", "location", "contacts"})
#: What each gateway sends; one that is not named sends text.
SENT_BY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {"cloud": _EVERYTHING, "simulator": _EVERYTHING, "baileys": frozenset({"text", "media"})}
)
ONLY_TEXT: Final = frozenset({"text"})

#: What content calls its parts, where bodies call them otherwise.
FIELDS: Final[Mapping[str, str]] = MappingProxyType({"body": "text", "link": "url", "stored": "media_id"})


def refusal(gateway: str, type_: str) -> str | None:
    """Return why a gateway does not send a type of message, and what it sends; None if it does.

    >>> refusal("baileys", "template")
    "gateway 'baileys' does not send messages of type 'template': it sends media, text"
    """
    sent = SENT_BY.get(gateway, ONLY_TEXT)
    if type_ in sent:
        return None
    if type_ == BY_ADDRESS and "media" in sent:
        return f"gateway {gateway!r} fetches no addresses: upload the file with POST /v1/media, and give its media_id"
    known = ", ".join(sorted(sent - {BY_ADDRESS}))
    return f"gateway {gateway!r} does not send messages of type {type_!r}: it sends {known}"


def stored_reference(organization_id: UUID, media_id: str) -> str:
    """Return the media store's reference of an organization's upload: nobody can name another's."""
    return f"{organization_id}/{media_id}"


class Body(BaseModel):
    """A body that refuses fields it does not know: a typing error is not to be lost in silence."""

    model_config = ConfigDict(extra="forbid")


class FileBody(Body):
    """A file, named in one of two ways."""

    url: _URL | None = Field(
        None, description="An address that WhatsApp fetches from.", examples=["https://example.com/menu.pdf"]
    )
    media_id: _MEDIA_ID | None = Field(None, description="The `id` that `POST /v1/media` answered with.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.url is None) == (self.media_id is None):
            raise ValueError("give exactly one of url and media_id")
        return self

    def _content(
        self, kind: Kind, organization_id: UUID, *, caption: str | None = None, filename: str | None = None
    ) -> MediaContent:
        reference = stored_reference(organization_id, self.media_id) if self.media_id is not None else None
        return MediaContent(kind=MediaKind(kind), link=self.url, stored=reference, caption=caption, filename=filename)


class MediaBody(FileBody):
    """An image, a video, a sound, a document or a sticker: uploaded before, or fetched from a public address."""

    kind: Kind
    caption: str | None = Field(
        None, min_length=1, max_length=1_024, description="With an image, a video or a document."
    )
    filename: str | None = Field(None, min_length=1, max_length=240, description="With a document.")

    def content(self, organization_id: UUID) -> Content:
        """Return what is to be sent; raises ``ContentInvalid`` for what WhatsApp would refuse."""
        return self._content(self.kind, organization_id, caption=self.caption, filename=self.filename)


class TemplateHeaderIn(FileBody):
    """The file in a template's header."""

    kind: HeaderKind
    filename: str | None = Field(None, min_length=1, max_length=240)

    def parameter(self, organization_id: UUID) -> Parameter:
        """Return it as what stands in place of the header's variable."""
        return Parameter(media=self._content(self.kind, organization_id, filename=self.filename))


class TemplateButtonIn(Body):
    """The variable of one button: the end of its address, its payload, or the code to copy."""

    index: int = Field(ge=0, le=9)
    kind: Literal["quick_reply", "url", "copy_code"]
    value: str = Field(min_length=1, max_length=2_000)


class TemplateBody(Body):
    """A template that Meta approved; ``variables`` by name, or by place (``1``, ``2``, …)."""

    name: str = Field(pattern="^[a-z0-9_]{1,512}$", examples=["order_shipped"])
    language: str = Field(pattern="^[a-z]{2,3}(_[A-Z]{2,3})?$", examples=["pt_BR"])
    variables: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=100)], Annotated[str, StringConstraints(min_length=1)]
    ] = Field(default_factory=dict, max_length=50, examples=[{"1": "Ana"}])
    header: TemplateHeaderIn | None = None
    header_text: str | None = Field(None, min_length=1, max_length=60, description="The variable of a text header.")
    buttons: list[TemplateButtonIn] = Field(default_factory=list, max_length=10)

    @model_validator(mode="after")
    def _places_have_no_gaps(self) -> Self:
        if self.header is not None and self.header_text is not None:
            raise ValueError("give header or header_text, not both")
        places = sorted(int(name) for name in self.variables if name.isdecimal())
        if places and (len(places) != len(self.variables) or places != list(range(1, len(places) + 1))):
            raise ValueError("variables: name them all, or count them all from 1 without a gap")
        return self

    def content(self, organization_id: UUID) -> Content:
        """Return what is to be sent; raises ``ContentInvalid`` for what WhatsApp would refuse."""
        parts: list[Component] = []
        if self.header is not None:
            parts.append(Component(place=Place.HEADER, parameters=(self.header.parameter(organization_id),)))
        elif self.header_text is not None:
            parts.append(Component(place=Place.HEADER, parameters=(Parameter(text=self.header_text),)))
        if self.variables:
            parts.append(Component(place=Place.BODY, parameters=self._body()))
        parts += [
            Component(
                place=Place.BUTTON,
                button=ButtonKind(each.kind),
                index=each.index,
                parameters=(Parameter(text=each.value),),
            )
            for each in self.buttons
        ]
        return TemplateContent(name=self.name, language=self.language, components=tuple(parts))

    def _body(self) -> tuple[Parameter, ...]:
        if all(name.isdecimal() for name in self.variables):
            return tuple(Parameter(text=self.variables[str(place)]) for place in range(1, len(self.variables) + 1))
        return tuple(Parameter(text=value, name=name) for name, value in self.variables.items())
