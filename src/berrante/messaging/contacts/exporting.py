"""Contacts as a CSV file: written page by page, safe to open in a spreadsheet, readable by an import."""

import csv
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, select

from berrante.messaging.contacts.cells import guarded
from berrante.messaging.contacts.contact import Contact, contact_of
from berrante.messaging.contacts.models import contacts
from berrante.messaging.contacts.search import Search, found, matching
from berrante.store import Database

_PAGE: Final = 500
_HEADINGS: Final = (
    "phone", "name", "language", "tags", "consent", "consent_source", "consent_at", "id", "instance_id", "blocked_at",
    "first_seen_at", "last_message_at",
)  # fmt: skip


async def exported(database: Database, organization_id: UUID, search: Search) -> AsyncIterator[str]:
    """Yield the lines of a CSV file of all contacts that a search finds, newest first.

    Contacts that change meanwhile are there once, as they are when their page is read. A cell that a spreadsheet would
    take for a formula begins with an apostrophe, which an import takes away again.
    """
    keys = select(func.jsonb_object_keys(contacts.c.fields)).select_from(contacts)
    keys = keys.where(contacts.c.id.in_(matching(organization_id, search).with_only_columns(contacts.c.id)))
    async with database.tenant(organization_id) as connection:
        names = sorted((await connection.execute(keys.distinct())).scalars())
    yield _lines([[*_HEADINGS, *(f"field.{name}" for name in names)]])
    before: UUID | None = None
    while True:
        page = found(organization_id, replace(search, before=before, limit=_PAGE))
        async with database.tenant(organization_id) as connection:
            rows = [contact_of(row._mapping) for row in await connection.execute(page)]
        if rows:
            yield _lines([_cells(contact, names) for contact in rows])
        if len(rows) < _PAGE:
            return
        before = rows[-1].id


def _cells(contact: Contact, names: Sequence[str]) -> list[str]:
    known = contact.consent != "unknown"
    given: list[object] = [
        contact.address,
        contact.name,
        contact.language,
        ";".join(contact.tags),
        contact.consent.value if known else None,
        "an export" if known else None,
        contact.consent_at,
        contact.id,
        contact.instance_id,
        contact.blocked_at,
        contact.first_seen_at,
        contact.last_message_at,
        *(contact.fields.get(name) for name in names),
    ]
    return [guarded(_text(value)) for value in given]


def _text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat()
        case _:
            return str(value)


def _lines(rows: Sequence[Sequence[str]]) -> str:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue()
