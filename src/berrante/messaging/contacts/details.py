"""What may be said of a contact: name, language, tags, custom fields. Each check raises ``Invalid`` that names it."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Final

from berrante.messaging.automations.matching import words
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import named, storable

FieldValue = str | int | float | bool

MAX_FIELDS: Final = 50
MAX_TAGS: Final = 50
_LONGEST_VALUE: Final = 1_000
LARGEST_FIELDS: Final = 16_384  # bytes of JSON
_LONGEST_ESCAPE: Final = 8  # bytes of JSON that a character may take, its share of quotes included
_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_TAG: Final = re.compile(r"[^\s,;|](?:[^,;|\n\r\t]{0,38}[^\s,;|])?")


def name_key(name: str) -> str:
    """Return what a search by name compares: each word after a space, without case and accents.

    >>> name_key("João  da Silva")
    ' joao da silva'
    """
    return "".join(f" {word}" for word in words(name))


def checked_name(name: str, *, field: str = "name") -> str:
    """Return the name without outer spaces."""
    name = named(name, field=field)
    if storable(name) != name:
        raise Invalid(field, "has characters that cannot be stored", remedy="leave out U+0000 and lone surrogates")
    return name


def checked_language(language: str, *, field: str = "language") -> str:
    """Return a language tag with hyphens.

    >>> checked_language("pt_BR")
    'pt-BR'
    """
    if not _LANGUAGE.fullmatch(language):
        raise Invalid(field, f"is {language[:40]!r}", remedy="give a tag of BCP 47, for instance pt-BR")
    return language.replace("_", "-")


def checked_tags(tags: Iterable[str], *, field: str = "tags") -> list[str]:
    """Return the tags in lower case, sorted, each once.

    >>> checked_tags([" VIP ", "vip", "São Paulo"])
    ['são paulo', 'vip']
    """
    if isinstance(tags, str):
        raise Invalid(field, "is one text", remedy="give a list of tags")
    found = set()
    for given in tags:
        tag = given.strip().lower()
        if not _TAG.fullmatch(tag) or not tag.isprintable() or storable(tag) != tag:
            raise Invalid(field, f"has {given[:40]!r}", remedy="give 1 to 40 characters without , ; or |")
        found.add(tag)
    if len(found) > MAX_TAGS:
        raise Invalid(field, f"has {len(found)} tags", remedy=f"give at most {MAX_TAGS}")
    return sorted(found)


def is_field_name(name: str) -> bool:
    """Tell whether a custom field can be called so.

    >>> is_field_name("birth_day"), is_field_name("Birth day")
    (True, False)
    """
    return _FIELD_NAME.fullmatch(name) is not None


def checked_value(value: object, *, field: str) -> FieldValue:
    """Return a custom field's value: a text of at most 1,000 characters, a number, or true or false."""
    if isinstance(value, str):
        if len(value) > _LONGEST_VALUE:
            raise Invalid(field, f"has {len(value)} characters", remedy=f"give at most {_LONGEST_VALUE}")
        if storable(value) != value:
            raise Invalid(field, "has characters that cannot be stored", remedy="leave out U+0000 and lone surrogates")
        return value
    if isinstance(value, bool | int | float):
        if math.isfinite(value) and abs(value) < 1e18:
            return value
        raise Invalid(field, "is too large a number", remedy="give one below 10 to the 18th, or a text")
    raise Invalid(field, f"is of type {type(value).__name__}", remedy="give a text, a number, true or false")


def checked_fields(fields: Mapping[str, object], *, field: str = "fields") -> dict[str, FieldValue | None]:
    """Return custom fields, each with a valid name and value; None stands for a field to be taken away."""
    if len(fields) > MAX_FIELDS:
        raise Invalid(field, f"has {len(fields)} entries", remedy=f"give at most {MAX_FIELDS}")
    for name in fields:
        if not is_field_name(name):
            raise Invalid(
                f"{field}.{storable(name[:40])}",
                "is no field's name",
                remedy="begin with a letter; 1 to 40 of a-z, 0-9 and '_'",
            )
    return {
        name: None if value is None else checked_value(value, field=f"{field}.{name}") for name, value in fields.items()
    }


def merged_fields(
    stored: Mapping[str, FieldValue], changes: Mapping[str, FieldValue | None], *, field: str = "fields"
) -> dict[str, FieldValue]:
    """Return stored fields with checked changes; raises ``Invalid`` if the whole is too large."""
    whole = {name: value for name, value in {**stored, **changes}.items() if value is not None}
    if len(whole) > MAX_FIELDS:
        raise Invalid(field, f"would have {len(whole)} entries", remedy=f"keep at most {MAX_FIELDS}")
    characters = sum(len(name) + (len(value) if isinstance(value, str) else 25) for name, value in whole.items())
    if characters * _LONGEST_ESCAPE < LARGEST_FIELDS:
        return whole
    size = len(json.dumps(whole, ensure_ascii=False).encode())
    if size > LARGEST_FIELDS:
        raise Invalid(field, f"would have {size} bytes", remedy=f"keep at most {LARGEST_FIELDS}")
    return whole
