"""What people agreed to: one state per person and organization, and a log of the evidence.

A person is an address: what holds for it holds at every number of the organization, now and for contacts to come.
"""

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Row,
    Uuid,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.contacts.models import consents, contacts, opt_outs
from berrante.messaging.endpoints.contacts import opted_out
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import named, storable
from berrante.messaging.messages.origin import Origin
from berrante.store import new_id

_LONGEST_TEXT: Final = 2_000
# Made once: every send asks it.
_STATES: Final = select(
    contacts.c.organization_id,
    contacts.c.id,
    contacts.c.erased_at,
    contacts.c.blocked_at,
    contacts.c.consent,
    contacts.c.suppressed_at,
).where(
    contacts.c.organization_id == func.any(bindparam("of", type_=ARRAY(Uuid))),
    contacts.c.id == func.any(bindparam("ids", type_=ARRAY(Uuid))),
)
#: The contact stopped this business' marketing messages.
#: https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
STOPPED_CODE: Final = "131050"


class Consent(enum.StrEnum):
    """Whether campaigns may write to a person. ``unknown``: nobody said; the campaign's own rules decide."""

    UNKNOWN = "unknown"
    OPTED_IN = "opted_in"
    OPTED_OUT = "opted_out"


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why we believe it: where it was said (``source``), the words, when, and who recorded it."""

    source: str
    at: datetime
    text: str | None = None
    by: str | None = None

    def checked(self) -> "Evidence":
        """Return the evidence if it can be stored; raises ``Invalid``."""
        if self.at.tzinfo is None:
            raise Invalid("at", "has no offset", remedy="give a point in time, for instance 2026-01-31T12:00:00Z")
        text = self.text
        if text is not None and (len(text) > _LONGEST_TEXT or storable(text) != text):
            raise Invalid("text", "cannot be stored", remedy=f"give at most {_LONGEST_TEXT} characters, no U+0000")
        return Evidence(source=named(self.source, field="source"), at=self.at, text=text, by=self.by)


class Refusal(enum.StrEnum):
    """Why a message must not go to a contact."""

    ERASED = "erased"
    BLOCKED = "blocked"
    OPTED_OUT = "opted_out"
    SUPPRESSED = "suppressed"

    @property
    def reason(self) -> str:
        """Return the sentence that stands on a skipped message."""
        return _REASONS[self]


_REASONS: Final = {
    Refusal.ERASED: "the contact was erased",
    Refusal.BLOCKED: "the contact is blocked",
    Refusal.OPTED_OUT: "the contact opted out of campaigns",
    Refusal.SUPPRESSED: "WhatsApp said that campaigns are not to write to the contact",
}


@dataclass(frozen=True, slots=True)
class Addressed:
    """Whom a message goes to, and what it comes from."""

    organization_id: UUID
    contact_id: UUID
    origin: Origin


async def refusals(connection: AsyncConnection, addressed: Sequence[Addressed]) -> list[Refusal | None]:
    """Return why each of these must not be sent; None for those that may be.

    Call it in the transaction that claims the messages, after they are locked: an opt-out that was answered before is
    seen here. It takes no lock. Replies and automations reach people who opted out of campaigns.
    """
    if not addressed:
        return []
    of, ids = {each.organization_id for each in addressed}, {each.contact_id for each in addressed}
    rows = await connection.execute(_STATES, {"of": list(of), "ids": list(ids)})
    states = {(row.organization_id, row.id): row for row in rows}
    return [_refusal(states.get((each.organization_id, each.contact_id)), each.origin) for each in addressed]


def _refusal(row: Row[Any, Any, Any, Any, Any, Any] | None, origin: Origin) -> Refusal | None:
    if row is None or row.erased_at is not None:
        return Refusal.ERASED
    if row.blocked_at is not None:
        return Refusal.BLOCKED
    if origin is Origin.CAMPAIGN and row.consent == Consent.OPTED_OUT:
        return Refusal.OPTED_OUT
    if origin is Origin.CAMPAIGN and row.suppressed_at is not None:
        return Refusal.SUPPRESSED
    return None


async def suppress(
    connection: AsyncConnection, *, organization_id: UUID, contact_id: UUID, code: str | None, reason: str, at: datetime
) -> list[Happening]:
    """Remember that WhatsApp bars campaigns from a contact: none writes to it. Returns what is to be told of it.

    It is told if the contact stopped them itself (131050), and not, for instance, that it has no WhatsApp.
    """
    open_ = update(contacts).where(
        contacts.c.organization_id == organization_id,
        contacts.c.id == contact_id,
        contacts.c.suppressed_at.is_(None),
        contacts.c.erased_at.is_(None),
    )
    values = {"suppressed_at": at, "suppression_reason": reason[:500], "updated_at": func.now()}
    changed = open_.values(values).returning(contacts.c.instance_id, contacts.c.address)
    row = (await connection.execute(changed)).one_or_none()
    if row is None or code != STOPPED_CODE:
        return []
    told = opted_out(
        organization_id=organization_id,
        instance_id=row.instance_id,
        contact_id=contact_id,
        address=row.address,
        source="whatsapp",
        text=None,
        at=at,
    )
    return [told]


async def record(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    contact_id: UUID,
    address: str,
    state: Consent,
    evidence: Evidence,
) -> list[Happening]:
    """Store what a person said, for all contacts of the address, and log it with the evidence.

    ``contact_id`` is the one that said it. Returns what is to be told: an opt-out, once, until the person opts in.
    """
    own = (contacts.c.organization_id == organization_id, contacts.c.address == address)
    columns = contacts.c.id, contacts.c.instance_id, contacts.c.consent
    lock = select(*columns).where(*own).order_by(contacts.c.id).with_for_update()
    rows = (await connection.execute(lock)).all()
    values = {"consent": state.value, "consent_at": evidence.at, "updated_at": func.now()}
    await connection.execute(update(contacts).where(*own).values(values))
    log = [
        {
            "id": new_id(),
            "organization_id": organization_id,
            "instance_id": row.instance_id,
            "contact_id": row.id,
            "state": state.value,
            "source": evidence.source,
            "text": evidence.text,
            "by": evidence.by,
            "at": evidence.at,
        }
        for row in rows
    ]
    if log:
        await connection.execute(insert(consents), log)
    if state is Consent.OPTED_OUT:
        await bar(connection, organization_id=organization_id, address=address, at=evidence.at)
        return [
            opted_out(
                organization_id=organization_id,
                instance_id=row.instance_id,
                contact_id=contact_id,
                address=address,
                source=evidence.source,
                text=evidence.text,
                at=evidence.at,
            )
            for row in rows
            if row.id == contact_id and any(each.consent != state for each in rows)
        ]
    lifted = delete(opt_outs).where(
        opt_outs.c.organization_id == organization_id,
        opt_outs.c.address_hash == address_hash(organization_id, address),
    )
    await connection.execute(lifted)
    return []


async def bar(
    connection: AsyncConnection, *, organization_id: UUID, address: str, at: datetime, erased_at: datetime | None = None
) -> None:
    """Remember by its hash that campaigns must not write to an address, whatever becomes of its contacts."""
    new = upsert(opt_outs).values(
        organization_id=organization_id,
        address_hash=address_hash(organization_id, address),
        opted_out_at=at,
        erased_at=erased_at,
    )
    erased = func.coalesce(new.excluded.erased_at, opt_outs.c.erased_at)
    await connection.execute(
        new.on_conflict_do_update(index_elements=["organization_id", "address_hash"], set_={"erased_at": erased})
    )


async def is_barred(connection: AsyncConnection, *, organization_id: UUID, address: str) -> bool:
    """Tell whether campaigns must not write to an address already."""
    query = select(
        exists().where(
            opt_outs.c.organization_id == organization_id,
            opt_outs.c.address_hash == address_hash(organization_id, address),
        )
    )
    return bool((await connection.execute(query)).scalar_one())


async def erased_at(connection: AsyncConnection, *, organization_id: UUID, address: str) -> datetime | None:
    """Return when the person of an address was erased, unless an opt-in came since."""
    query = select(opt_outs.c.erased_at).where(
        opt_outs.c.organization_id == organization_id,
        opt_outs.c.address_hash == address_hash(organization_id, address),
    )
    at: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return at


def address_hash(organization_id: UUID, address: str) -> bytes:
    """Return the salted hash under which an address outlives its contact; the salt is the organization's id.

    It keeps a list of numbers from lying about. Whoever has the database can still try all numbers there are.
    """
    return hashlib.sha256(organization_id.bytes + address.encode()).digest()


def inherited(organization_id: UUID, address: str) -> ColumnElement[str]:
    """Return the expression of a new contact's consent: what the person said at another number of the organization."""
    barred = exists().where(
        opt_outs.c.organization_id == organization_id,
        opt_outs.c.address_hash == address_hash(organization_id, address),
    )
    other = contacts.alias("other")
    said = (
        select(other.c.consent)
        .where(other.c.organization_id == organization_id, other.c.address == address, other.c.consent != "unknown")
        .limit(1)
        .scalar_subquery()
    )
    return case((barred, literal(Consent.OPTED_OUT.value)), else_=func.coalesce(said, literal(Consent.UNKNOWN.value)))
