"""A contact as the rest of the code sees it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping

from berrante.messaging.addresses import AddressKind
from berrante.messaging.contacts.consent import Consent
from berrante.messaging.contacts.details import FieldValue
from berrante.messaging.contacts.models import contacts


@dataclass(frozen=True, kw_only=True, slots=True)
class Contact:
    """Who writes to a number, or is written to; one person has one contact per number of the organization.

    ``address`` is the one spelling of the phone number, or an identity of another ``address_kind``. ``last_message_at``
    is when the contact last wrote.
    """

    id: UUID
    organization_id: UUID
    instance_id: str
    address_kind: AddressKind
    address: str
    name: str | None
    language: str | None
    fields: Mapping[str, FieldValue]
    tags: Sequence[str]
    consent: Consent
    consent_at: datetime | None
    blocked_at: datetime | None
    suppressed_at: datetime | None
    suppression_reason: str | None
    erased_at: datetime | None
    first_seen_at: datetime
    last_message_at: datetime | None
    updated_at: datetime


#: The columns of a contact, in a query's list.
COLUMNS: Final = tuple(contacts.c[field.name] for field in fields(Contact))


def contact_of(row: RowMapping) -> Contact:
    """Return the contact of a row of ``COLUMNS``."""
    values = {column.name: row[column.name] for column in COLUMNS}
    kind, consent = AddressKind(values["address_kind"]), Consent(values["consent"])
    return Contact(**{**values, "address_kind": kind, "consent": consent})
