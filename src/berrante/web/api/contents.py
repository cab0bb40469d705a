"""What a message to be sent may hold: one type per kind of content, and which of them are accepted today.

All kinds are in the OpenAPI document; a kind that the number's gateway cannot send is refused by name.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from berrante.web.errors import WebError


class _Content(BaseModel):
    model_config = ConfigDict(extra="forbid")

    to: str = Field(
        max_length=130,
        description="Phone number with country code, or a hidden identity as contacts have it.",
        examples=["+5511987654321"],
    )


class TextIn(_Content):
    """A text."""

    type: Literal["text"]
    text: str = Field(min_length=1, max_length=4_096, examples=["Your order is on its way."])


class MediaIn(_Content):
    """An image, a video, a sound, a document or a sticker, fetched from a public URL."""

    type: Literal["media"]
    kind: Literal["image", "video", "audio", "document", "sticker"]
    url: str = Field(max_length=2_000, pattern="^https?://", examples=["https://example.com/menu.pdf"])
    caption: str | None = Field(None, max_length=1_024)
    filename: str | None = Field(None, max_length=240)


class TemplateIn(_Content):
    """A template that Meta approved; ``variables`` by name or by place (``1``, ``2``, …)."""

    type: Literal["template"]
    name: str = Field(min_length=1, max_length=512, examples=["order_shipped"])
    language: str = Field(max_length=20, examples=["pt_BR"])
    variables: dict[str, str] = Field(default_factory=dict, max_length=50)


class ButtonIn(BaseModel):
    """A button that answers with its id."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=256)
    title: str = Field(min_length=1, max_length=20)


class ButtonsIn(_Content):
    """A text with one to three buttons."""

    type: Literal["buttons"]
    text: str = Field(min_length=1, max_length=1_024)
    buttons: list[ButtonIn] = Field(min_length=1, max_length=3)


class LocationIn(_Content):
    """A place."""

    type: Literal["location"]
    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    name: str | None = Field(None, max_length=1_000)
    address: str | None = Field(None, max_length=1_000)


MessageIn = Annotated[TextIn | MediaIn | TemplateIn | ButtonsIn | LocationIn, Field(discriminator="type")]

EXAMPLES: Final[dict[str, Any]] = {
    "text": {
        "summary": "A text",
        "value": {"to": "+5511987654321", "type": "text", "text": "Your order is on its way."},
    },
}


#: What each gateway sends; one that is not named sends text.
SENT_BY: Final[Mapping[str, frozenset[str]]] = MappingProxyType({})
_TEXT: Final = frozenset({"text"})


def check_sendable(message: MessageIn, *, gateway: str) -> None:
    """Raise a 422 that names what the number's gateway sends, unless the message is of such a kind."""
    kinds = SENT_BY.get(gateway, _TEXT)
    if message.type not in kinds:
        known = ", ".join(sorted(kinds))
        problem = f"gateway {gateway!r} does not send messages of type {message.type!r}: it sends {known}"
        raise WebError(422, "content_not_supported", problem, field="type")
