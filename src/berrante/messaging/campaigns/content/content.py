"""What a campaign says: variants of a text, of a file with a caption, or of a WhatsApp template with parameters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from berrante.gateways.protocol import ContentInvalid
from berrante.messaging.campaigns.content.errors import RenderFailed, TemplateInvalid
from berrante.messaging.campaigns.content.shares import Shares
from berrante.messaging.campaigns.content.template import Template, template
from berrante.messaging.campaigns.content.variants import FIELDS, Document, MediaVariant, Variant
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable
from berrante.messaging.messages import bodies
from berrante.messaging.messages.content import stored

_VARIANT_SALT: Final = "variant"
_NOBODY: Final = UUID(int=0)
_REMEDY: Final = "see docs/campaigns.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rendered:
    """What one contact gets, as a message's content is stored; and from which variant."""

    variant: str
    content: dict[str, Any]


class Content:
    """The checked content of a campaign; uploaded files that it names are ``organization_id``'s.

    >>> Content.read("Oi {{ name }}").render({"name": "Ana"}, who="+5511999990001", salt="c").content
    {'type': 'text', 'text': 'Oi Ana'}
    """

    def __init__(self, document: Document, organization_id: UUID = _NOBODY) -> None:
        self._document = document
        self._organization_id = organization_id
        self._variants = {variant.name: variant for variant in document.variants}
        self.shares = Shares.checked([(each.name, each.weight) for each in document.variants], field="content.variants")
        names: set[str] = set()
        for number, variant in enumerate(document.variants):
            names |= _checked(variant, f"content.variants[{number}]")
        self.names = frozenset(names)

    @classmethod
    def read(cls, given: object, *, organization_id: UUID = _NOBODY) -> "Content":
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
            document = Document.model_validate(_typed(given))
        except ValidationError as error:
            # The third part is the variant's type, by which the model was chosen.
            location = error.errors()[0]["loc"]
            raise _invalid("content", (*location[:2], *location[3:]), error) from None
        return cls(document, organization_id)

    def stored(self) -> dict[str, Any]:
        """Return the content as JSON, which ``read`` reads back."""
        document = self._document.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
        for given, variant in zip(document["variants"], self._document.variants, strict=True):
            given.update(type=variant.type, name=variant.name, weight=variant.weight)
        return document

    @property
    def kinds(self) -> Mapping[str, str]:
        """The types of messages that it makes, with the first field that says so."""
        found: dict[str, str] = {}
        for number, variant in enumerate(self._document.variants):
            found.setdefault(variant.type, f"content.variants[{number}].type")
            if isinstance(variant, MediaVariant) and variant.url is not None:
                found.setdefault(bodies.BY_ADDRESS, f"content.variants[{number}].url")
        return found

    @property
    def uploads(self) -> Mapping[str, str]:
        """The uploaded files that it names, by field."""
        return {
            f"content.variants[{number}].{place}": media_id
            for number, variant in enumerate(self._document.variants)
            for place, media_id in variant.uploads.items()
        }

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

        def fill(place: str, source: str, most: int) -> str:
            rendered = storable(template(source).render(values, seed=f"{salt}:{who}")).strip()
            if not rendered:
                raise RenderFailed("empty", f"{place} is empty for this contact")
            if len(rendered) > most:
                raise RenderFailed("too_long", f"{place} has {len(rendered)} characters, more than {most}")
            return rendered

        try:
            content = chosen.filled(fill, self._organization_id)
        except ValidationError as error:
            raise RenderFailed("content_invalid", str(_invalid("", error.errors()[0]["loc"], error))) from None
        except ContentInvalid as error:
            raise RenderFailed(error.code, str(error)) from None
        return Rendered(variant=name, content=stored(content))


def _typed(given: object) -> object:
    """Let a variant without a type be a text."""
    if isinstance(given, dict) and isinstance(given.get("variants"), list):
        variants = [{"type": "text", **each} if isinstance(each, dict) else each for each in given["variants"]]
        return {**given, "variants": variants}
    return given


def _checked(variant: Variant, field: str) -> frozenset[str]:
    """Return the contact's fields that a variant names; raises ``Invalid`` for what no contact could get."""
    names: set[str] = set()

    def fill(place: str, source: str, most: int) -> str:
        names.update(_template(source, f"{field}.{place}").names)
        if "{" not in source:  # the same for everybody, so its length is known by now
            if len(source.strip()) > most:
                raise Invalid(f"{field}.{place}", f"has {len(source)} characters", remedy=f"give at most {most}")
            return source.strip()
        return "https://example.com/file" if place.endswith("url") else "x"

    try:
        variant.filled(fill, _NOBODY)
    except ValidationError as error:
        raise _invalid(field, error.errors()[0]["loc"], error) from None
    except ContentInvalid as error:
        place = bodies.FIELDS.get(error.field, error.field)
        raise Invalid(f"{field}.{place}", error.problem, remedy=error.remedy) from None
    return frozenset(names)


def _template(source: str, field: str) -> Template:
    if not source.strip():
        raise Invalid(field, "is empty", remedy="give the text to send")
    if storable(source) != source:
        raise Invalid(field, "has characters that cannot be stored", remedy="leave out U+0000 and lone surrogates")
    try:
        return template(source)
    except TemplateInvalid as error:
        raise error.within(field) from None


def _invalid(within: str, location: Sequence[int | str], error: ValidationError) -> Invalid:
    """Return the first violation as an error of ours, in a field that is written as in ``variants[0].text``."""
    where = within
    for number, part in enumerate(location):
        name = FIELDS.get(str(part), part) if number == 0 else part
        where += f"[{part}]" if isinstance(part, int) else f".{name}"
    problem = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
    return Invalid(where.lstrip(".") or within, problem[:1].lower() + problem[1:], remedy=_REMEDY)
