"""Bodies of messages that carry files, and of templates, whose headers may."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, StringConstraints, model_validator

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
from berrante.web.api.shapes import MessageShape, Strict

_URL = Annotated[str, StringConstraints(max_length=2_048, pattern="^https?://")]
#: What ``POST /v1/media`` answers with: the SHA-256 of the file and the ending of its kind.
_MEDIA_ID = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{2,5}$")]
_Kind = Literal["image", "video", "audio", "document", "sticker"]


def stored_reference(organization_id: UUID, media_id: str) -> str:
    """Return the media store's reference of an organization's upload: nobody can name another's."""
    return f"{organization_id}/{media_id}"


class _File(Strict):
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
        self, kind: _Kind, organization_id: UUID, *, caption: str | None = None, filename: str | None = None
    ) -> MediaContent:
        reference = stored_reference(organization_id, self.media_id) if self.media_id is not None else None
        return MediaContent(kind=MediaKind(kind), link=self.url, stored=reference, caption=caption, filename=filename)


class MediaIn(_File, MessageShape):
    """An image, a video, a sound, a document or a sticker: uploaded before, or fetched from a public address."""

    type: Literal["media"]
    kind: _Kind
    caption: str | None = Field(
        None, min_length=1, max_length=1_024, description="With an image, a video or a document."
    )
    filename: str | None = Field(None, min_length=1, max_length=240, description="With a document.")

    def content(self, organization_id: UUID) -> Content:
        return self._content(self.kind, organization_id, caption=self.caption, filename=self.filename)


class TemplateHeaderIn(_File):
    """The file in a template's header."""

    kind: Literal["image", "video", "document"]
    filename: str | None = Field(None, min_length=1, max_length=240)

    def parameter(self, organization_id: UUID) -> Parameter:
        return Parameter(media=self._content(self.kind, organization_id, filename=self.filename))


class TemplateButtonIn(Strict):
    """The variable of one button: the end of its address, its payload, or the code to copy."""

    index: int = Field(ge=0, le=9)
    kind: Literal["quick_reply", "url", "copy_code"]
    value: str = Field(min_length=1, max_length=2_000)


class TemplateIn(MessageShape):
    """A template that Meta approved; ``variables`` by name, or by place (``1``, ``2``, …)."""

    type: Literal["template"]
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
