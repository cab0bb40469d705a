"""The kinds of variants: a message's body whose texts are templates of ours."""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from berrante.gateways.protocol import Content, TextContent
from berrante.messaging.fields import MAX_TEXT
from berrante.messaging.messages.bodies import HeaderKind, Kind, MediaBody, TemplateBody

#: Returns what stands in place of a source, given where it stands and the most characters that may come of it.
Fill = Callable[[str, str, int], str]

_MAX_CAPTION: Final = 1_024  # Meta's limit, of a template's filled body too
_MAX_URL: Final = 2_048
_MAX_FILENAME: Final = 240
_MAX_HEADER: Final = 60
_MAX_BUTTON: Final = 2_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Variant(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,20}$")] = "A"
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1

    @property
    def uploads(self) -> dict[str, str]:
        """The ids of uploaded files by where they stand."""
        return {}


class TextVariant(_Variant):
    """A text message."""

    type: Literal["text"] = "text"
    text: str
    preview_url: bool = False

    def filled(self, fill: Fill, _: UUID) -> Content:
        """Return the message; raises what its strict body raises."""
        return TextContent(body=fill("text", self.text, MAX_TEXT), preview_url=self.preview_url)


class _File(_Strict):
    url: str | None = None
    media_id: str | None = None
    filename: str | None = None

    def named(self, fill: Fill, within: str) -> dict[str, Any]:
        """Return how the file is named, for one contact: an address may hold what is its alone."""
        named: dict[str, Any] = {"media_id": self.media_id}
        for name, source, most in (("url", self.url, _MAX_URL), ("filename", self.filename, _MAX_FILENAME)):
            named[name] = None if source is None else fill(f"{within}{name}", source, most)
        return named


class MediaVariant(_Variant, _File):
    """A file by address or uploaded before, with a caption."""

    type: Literal["media"]
    kind: Kind
    caption: str | None = None

    @property
    def uploads(self) -> dict[str, str]:
        """The ids of uploaded files by where they stand."""
        return {} if self.media_id is None else {"media_id": self.media_id}

    def filled(self, fill: Fill, organization_id: UUID) -> Content:
        """Return the message; raises what its strict body raises."""
        caption = None if self.caption is None else fill("caption", self.caption, _MAX_CAPTION)
        return MediaBody(kind=self.kind, caption=caption, **self.named(fill, "")).content(organization_id)


class _Header(_File):
    kind: HeaderKind


class _Button(_Strict):
    index: int
    kind: Literal["quick_reply", "url", "copy_code"]
    value: str


class TemplateVariant(_Variant):
    """A template that Meta approved; its parameters are templates of ours."""

    type: Literal["template"]
    template: str
    language: str
    variables: dict[str, str] = {}
    header: _Header | None = None
    header_text: str | None = None
    buttons: list[_Button] = []

    @property
    def uploads(self) -> dict[str, str]:
        """The ids of uploaded files by where they stand."""
        if self.header is None or self.header.media_id is None:
            return {}
        return {"header.media_id": self.header.media_id}

    def filled(self, fill: Fill, organization_id: UUID) -> Content:
        """Return the message; raises what its strict body raises."""

        def parameter(place: str, source: str, most: int) -> str:
            # Meta refuses line breaks, tabs and many spaces in a parameter, and a contact's field may have any.
            return " ".join(fill(place, source, most).split())

        header = self.header and {"kind": self.header.kind, **self.header.named(fill, "header.")}
        body = {
            "name": self.template,
            "language": self.language,
            "variables": {
                name: parameter(f"variables.{name}", source, _MAX_CAPTION) for name, source in self.variables.items()
            },
            "header": header,
            "header_text": self.header_text and parameter("header_text", self.header_text, _MAX_HEADER),
            "buttons": [
                {**each.model_dump(), "value": parameter(f"buttons[{number}].value", each.value, _MAX_BUTTON)}
                for number, each in enumerate(self.buttons)
            ],
        }
        return TemplateBody.model_validate(body).content(organization_id)


Variant = TextVariant | MediaVariant | TemplateVariant
#: How the bodies call what variants call otherwise: the name is the variant's own.
FIELDS: Final = {"name": "template"}


class Document(_Strict):
    """All variants, as they are stored."""

    variants: Annotated[list[Annotated[Variant, Field(discriminator="type")]], Field(min_length=1, max_length=26)]
