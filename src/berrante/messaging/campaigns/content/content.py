"""What a campaign says: variants of a text, of a file with a caption, or of a WhatsApp template with parameters."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError

from berrante.messaging.campaigns.content.errors import RenderFailed, TemplateInvalid
from berrante.messaging.campaigns.content.shares import Shares
from berrante.messaging.campaigns.content.template import Template, template
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import MAX_TEXT, storable

_VARIANT_SALT: Final = "variant"
_MAX_CAPTION: Final = 1_024  # Meta's limit
_MAX_PARAMETER: Final = 1_024


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Variant(_Strict):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,20}$")] = "A"
    weight: Annotated[int, Field(ge=1, le=1_000_000)] = 1


class TextVariant(_Variant):
    """A text message."""

    type: Literal["text"] = "text"
    text: str


class MediaVariant(_Variant):
    """A file that WhatsApp fetches from an address, with a caption."""

    type: Literal["image", "video", "document", "audio"]
    url: HttpUrl
    caption: str | None = None
    filename: Annotated[str, Field(max_length=200)] | None = None


class WhatsAppTemplateVariant(_Variant):
    """A template that Meta approved; its parameters are templates of ours."""

    type: Literal["template"]
    template: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,512}$")]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(_[A-Z]{2})?$")]
    header: Annotated[list[str], Field(max_length=1)] = []
    body: Annotated[list[str], Field(max_length=100)] = []
    buttons: Annotated[list[str], Field(max_length=10)] = []


Variant = Annotated[TextVariant | MediaVariant | WhatsAppTemplateVariant, Field(discriminator="type")]


class _Document(_Strict):
    variants: Annotated[list[Variant], Field(min_length=1, max_length=26)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What one contact gets, as a message's content; and from which variant."""

    variant: str
    content: dict[str, Any]


class Content:
    """The checked content of a campaign.

    >>> Content.read("Oi {{ name }}").render({"name": "Ana"}, who="+5511999990001", salt="c").content
    {'type': 'text', 'text': 'Oi Ana'}
    """

    def __init__(self, document: _Document) -> None:
        self._document = document
        self._variants = {variant.name: variant for variant in document.variants}
        self.shares = Shares.checked([(each.name, each.weight) for each in document.variants], field="content.variants")
        names: set[str] = set()
        for number, variant in enumerate(document.variants):
            for place, source in _sources(variant):
                names |= _checked(source, f"content.variants[{number}].{place}").names
        self.names = frozenset(names)

    @classmethod
    def read(cls, given: object) -> "Content":
        """Read a content: ``{"variants": [...]}``, one variant, or a bare text.

        Raises ``Invalid`` that names the field; of a template, also line and column.
        """
        match given:
            case str():
                given = {"variants": [{"text": given}]}
            case {"variants": _}:
                pass
            case {}:
                given = {"variants": [given]}
        try:
            return cls(_Document.model_validate(_typed(given)))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"] if part not in _TYPES)
            raise Invalid(
                f"content.{where}".rstrip("."), first["msg"].lower(), remedy="see docs/campaigns.md"
            ) from None

    def stored(self) -> dict[str, Any]:
        """Return the content as JSON, which ``read`` reads back."""
        return self._document.model_dump(mode="json", exclude_none=True)

    @property
    def kinds(self) -> frozenset[str]:
        """The types of messages that it may make."""
        return frozenset(variant.type for variant in self._document.variants)

    def variant_of(self, who: str, *, salt: str) -> str:
        """Return the variant that falls to a recipient, always the same."""
        return self.shares.of(who, salt=f"{_VARIANT_SALT}:{salt}")

    def render(self, values: Mapping[str, object], *, who: str, salt: str, variant: str | None = None) -> Rendered:
        """Return what a contact gets; ``who`` (its address) and ``salt`` (the campaign) decide variant and spintax.

        Raises ``RenderFailed``, also for a variant that the content has no more.
        """
        name = variant if variant is not None else self.variant_of(who, salt=salt)
        chosen = self._variants.get(name)
        if chosen is None:
            raise RenderFailed("no_variant", f"the content has no variant {name!r}")

        def text(source: str, *, most: int, field: str) -> str:
            rendered = storable(template(source).render(values, seed=f"{salt}:{who}")).strip()
            if not rendered:
                raise RenderFailed("empty", f"{field} is empty for this contact")
            if len(rendered) > most:
                raise RenderFailed("too_long", f"{field} has {len(rendered)} characters, more than {most}")
            return rendered

        return Rendered(variant=name, content=_rendered(chosen, text))


_TYPES: Final = frozenset({"text", "image", "video", "document", "audio", "template"})


def _typed(given: object) -> object:
    """Let a variant without a type be a text."""
    if isinstance(given, dict) and isinstance(given.get("variants"), list):
        variants = [{"type": "text", **each} if isinstance(each, dict) else each for each in given["variants"]]
        return {**given, "variants": variants}
    return given


def _sources(variant: Variant) -> list[tuple[str, str]]:
    match variant:
        case TextVariant():
            return [("text", variant.text)]
        case MediaVariant():
            return [("caption", variant.caption)] if variant.caption is not None else []
        case _:
            groups = (("header", variant.header), ("body", variant.body), ("buttons", variant.buttons))
            return [(f"{name}[{i}]", source) for name, sources in groups for i, source in enumerate(sources)]


def _checked(source: str, field: str) -> Template:
    if not source.strip():
        raise Invalid(field, "is empty", remedy="give the text to send")
    if storable(source) != source:
        raise Invalid(field, "has characters that cannot be stored", remedy="leave out U+0000 and lone surrogates")
    try:
        return template(source)
    except TemplateInvalid as error:
        raise error.within(field) from None


def _rendered(variant: Variant, text: Any) -> dict[str, Any]:  # noqa: ANN401  a local function with keywords
    match variant:
        case TextVariant():
            return {"type": "text", "text": text(variant.text, most=MAX_TEXT, field="text")}
        case MediaVariant():
            content: dict[str, Any] = {"type": variant.type, "url": str(variant.url)}
            if variant.caption is not None:
                content["caption"] = text(variant.caption, most=_MAX_CAPTION, field="caption")
            return content | ({"filename": variant.filename} if variant.filename else {})
        case _:
            parts = {
                name: [text(source, most=_MAX_PARAMETER, field=name) for source in sources]
                for name, sources in (("header", variant.header), ("body", variant.body), ("buttons", variant.buttons))
                if sources
            }
            return {"type": "template", "template": variant.template, "language": variant.language, **parts}
