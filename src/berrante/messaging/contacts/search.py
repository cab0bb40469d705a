"""Searching contacts: by word of the name, beginning of the number, tag, field, consent; page by page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, Select, select

from berrante.messaging.contacts.consent import Consent
from berrante.messaging.contacts.contact import COLUMNS
from berrante.messaging.contacts.details import checked_tags, checked_value, is_field_name, name_key
from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable

_MOST: Final = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Search:
    """What to look for; all that is given must hold. ``before`` is the last id of the page before.

    ``text`` of digits is the beginning of a phone number, of anything else the beginnings of words of the name.
    """

    limit: int = 50
    before: UUID | None = None
    text: str | None = None
    instance_id: str | None = None
    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    consent: Consent | None = None


def found(organization_id: UUID, search: Search) -> Select[Any]:
    """Return the query of a search's page, newest first; raises ``Invalid``."""
    if not 1 <= search.limit <= _MOST:
        raise Invalid("limit", f"is {search.limit}", remedy=f"give 1 to {_MOST}")
    query = matching(organization_id, search).order_by(contacts.c.id.desc()).limit(search.limit)
    return query if search.before is None else query.where(contacts.c.id < search.before)


def matching(organization_id: UUID, search: Search) -> Select[Any]:
    """Return the query of all that a search finds, without order and end; raises ``Invalid``."""
    query = select(*COLUMNS).where(contacts.c.organization_id == organization_id, contacts.c.erased_at.is_(None))
    if search.instance_id is not None:
        query = query.where(contacts.c.instance_id == storable(search.instance_id))
    if search.text is not None:
        query = query.where(*_text(search.text))
    if search.tags:
        query = query.where(contacts.c.tags.contains(checked_tags(search.tags, field="tag")))
    for name, value in search.fields.items():
        if not is_field_name(name):
            raise Invalid(f"field.{storable(name[:40])}", "is no field's name", remedy="give 1 to 40 of a-z, 0-9, '_'")
        query = query.where(_field(name, storable(value)))
    if search.consent is not None:
        query = query.where(contacts.c.consent == search.consent.value)
    return query


def _text(text: str) -> list[ColumnElement[bool]]:
    digits = "".join(character for character in text if character not in " ()-.").removeprefix("+")
    if digits.isascii() and digits.isdigit():
        return [contacts.c.address.like(f"+{digits}%")]
    key = name_key(storable(text))
    if not key:
        raise Invalid("q", f"is {text[:40]!r}", remedy="give letters of a name or digits of a number")
    # Each word of the search begins a word of the name, whatever their order.
    return [contacts.c.name_key.like(f"%{_escaped(f' {word}')}%") for word in key.split()]


def _field(name: str, value: str) -> ColumnElement[bool]:
    """Compare a field with a text: numbers, true and false are found by what they look like."""
    as_text = contacts.c.fields.contains({name: value})
    try:
        looks_like = checked_value(json.loads(value), field=name)
    except (ValueError, RecursionError):
        return as_text
    return as_text | contacts.c.fields.contains({name: looks_like})


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", r"\%").replace("_", r"\_")
