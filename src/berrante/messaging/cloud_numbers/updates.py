"""Applies what WhatsApp says of numbers, accounts, templates and contacts; the last word on each subject holds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.baileys.refusals import WITHOUT_LINK
from berrante.messaging.addresses import canonical
from berrante.messaging.clock import milliseconds
from berrante.messaging.cloud_numbers.meaning import (
    Lift,
    Meaning,
    Place,
    Prefer,
    SetLimit,
    SetQuality,
    Stand,
    meaning_of,
)
from berrante.messaging.cloud_numbers.models import cloud_numbers, number_updates
from berrante.messaging.contacts.consent import STOPPED_CODE, suppress
from berrante.messaging.contacts.models import contacts
from berrante.messaging.endpoints.emitting import Happening, Told, emit_all
from berrante.messaging.errors import Invalid
from berrante.messaging.instance_states import InstanceState, become, reported, review
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.content import clean
from berrante.messaging.outbound import sending_holds
from berrante.messaging.outbound.policy.holding import Hold, contact_hold
from berrante.messaging.outbound.signals import Held, Released, Signal, Suppressed


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """What follows once the transaction is committed: signals for this process, deliveries for programs."""

    signals: Sequence[Signal]
    told: Sequence[Told]


async def apply(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    account_id: str | None,
    kind: str,
    subject: str,
    details: Mapping[str, Any],
    at: datetime,
    now: datetime,
) -> Applied | None:
    """Store the update and do what it means, for every number of the account; None if there was a later word."""
    row = {"subject": clean(subject), "kind": clean(kind), "details": clean(dict(details)), "at": at}
    signals: list[Signal] = []
    happenings: list[Happening] = []
    is_news = False
    concerned = await _concerned(connection, organization_id, instance_id, account_id)
    named = await _named(connection, details, concerned)
    for id_ in concerned:
        if not await _remember(connection, row, organization_id=organization_id, instance_id=id_):
            continue
        is_news = True
        for meaning in meaning_of(kind, details):
            if isinstance(meaning, SetQuality) and id_ not in named:
                continue  # of another number of the account; a limit is the portfolio's
            did, told = await _do(connection, meaning, organization_id=organization_id, instance_id=id_, now=now)
            signals += did
            happenings += told
    if not is_news:
        return None
    # Last, since it locks numbers: what all of it makes of them.
    happenings += await review(connection, organization_id=organization_id, instance_id=concerned[0], now=now)
    return Applied(signals=signals, told=await emit_all(connection, happenings))


async def _concerned(
    connection: AsyncConnection, organization_id: UUID, instance_id: str, account_id: str | None
) -> list[str]:
    """Return the organization's numbers of the account; the one whose webhook was called, unless it is of another."""
    query = select(cloud_numbers.c.instance_id, cloud_numbers.c.business_account_id).where(
        cloud_numbers.c.organization_id == organization_id
    )
    account_of = {row.instance_id: row.business_account_id for row in await connection.execute(query)}
    found = {id_ for id_, account in account_of.items() if account_id is not None and account == account_id}
    if account_id is None or account_of.get(instance_id) in {None, account_id}:
        found.add(instance_id)
    return sorted(found)  # in one order everywhere, as they are locked


async def _named(connection: AsyncConnection, details: Mapping[str, Any], concerned: Sequence[str]) -> Sequence[str]:
    """Return which of the numbers an update names as it is shown; the only one there is needs no name."""
    digits = _digits(details.get("display_phone_number"))
    if len(concerned) == 1 or not digits:
        return concerned if len(concerned) == 1 else ()
    query = select(instances.c.id, instances.c.display_number).where(instances.c.id.in_(concerned))
    return [row.id for row in await connection.execute(query) if _digits(row.display_number) == digits]


def _digits(shown: object) -> str:
    return "".join(letter for letter in shown if letter.isdecimal()) if isinstance(shown, str) else ""


async def _remember(
    connection: AsyncConnection, row: Mapping[str, Any], *, organization_id: UUID, instance_id: str
) -> bool:
    new = insert(number_updates).values(organization_id=organization_id, instance_id=instance_id, **row)
    statement = new.on_conflict_do_update(
        index_elements=["instance_id", "subject"],
        set_={name: new.excluded[name] for name in ("kind", "details", "at")},
        where=number_updates.c.at <= new.excluded.at,
    )
    stored = await connection.execute(statement.returning(number_updates.c.subject))
    return stored.one_or_none() is not None


async def _do(
    connection: AsyncConnection, meaning: Meaning, *, organization_id: UUID, instance_id: str, now: datetime
) -> tuple[list[Signal], list[Happening]]:
    mine = (cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id)
    match meaning:
        case Place(hold):
            await sending_holds.place(
                connection, hold, organization_id=organization_id, instance_id=instance_id, now=now
            )
            return [Held(organization_id=organization_id, instance_id=instance_id, hold=hold)], []
        case Lift(what, codes):
            freed = await sending_holds.lift(
                connection,
                organization_id=organization_id,
                instance_id=instance_id,
                what=what,
                codes=codes or None,
            )
            return [Released(organization_id=organization_id, instance_id=id_) for id_ in sorted(set(freed))], []
        case SetLimit(limit):
            await connection.execute(update(cloud_numbers).where(*mine).values(messaging_limit=limit, updated_at=now))
        case SetQuality(quality):
            await connection.execute(update(cloud_numbers).where(*mine).values(quality=quality, updated_at=now))
        case Prefer(contact, wants_marketing):
            return await _prefer(
                connection, contact, wants_marketing, organization_id=organization_id, instance_id=instance_id, now=now
            )
        case Stand(report):
            return await _stand(connection, report, organization_id=organization_id, instance_id=instance_id, now=now)
    return [], []


async def _stand(
    connection: AsyncConnection, report: Mapping[str, Any], *, organization_id: UUID, instance_id: str, now: datetime
) -> tuple[list[Signal], list[Happening]]:
    stands = reported(report, now_ms=milliseconds(now))
    if stands is None:
        return [], []
    number: dict[str, Any] = {"organization_id": organization_id, "instance_id": instance_id}
    told = await become(connection, stands, **number, at=now)
    # A link that is back ends what it was waited for: also the short rests that stand in its lane alone.
    freed = (
        await sending_holds.lift(connection, **number, what="number", codes=WITHOUT_LINK)
        if report.get("state") == "open"
        else []
    )
    is_back = bool(freed) or (bool(told) and stands.state is InstanceState.CONNECTED)
    return [Released(**number)] if is_back else [], told


async def _prefer(
    connection: AsyncConnection,
    contact: str,
    wants_marketing: bool,
    *,
    organization_id: UUID,
    instance_id: str,
    now: datetime,
) -> tuple[list[Signal], list[Happening]]:
    try:
        address = canonical(contact)
    except Invalid:
        return [], []  # remembered all the same; there is no contact of this name
    query = select(contacts.c.id).where(
        contacts.c.organization_id == organization_id,
        contacts.c.instance_id == instance_id,
        contacts.c.address == address,
    )
    contact_id = (await connection.execute(query)).scalar_one_or_none()
    if contact_id is None:
        return [], []
    what, reason = contact_hold(contact_id), "the contact stopped marketing messages in WhatsApp"
    if wants_marketing:
        await sending_holds.lift(
            connection, organization_id=organization_id, instance_id=instance_id, what=what, codes=(STOPPED_CODE,)
        )
        again = update(contacts).where(contacts.c.organization_id == organization_id, contacts.c.id == contact_id)
        await connection.execute(again.values(suppressed_at=None, suppression_reason=None, updated_at=now))
        return [], []
    hold = Hold(what=what, code=STOPPED_CODE, reason=reason, campaigns_only=True, until_ms=None)
    await sending_holds.place(connection, hold, organization_id=organization_id, instance_id=instance_id, now=now)
    of = {"organization_id": organization_id, "contact_id": contact_id, "code": STOPPED_CODE, "reason": reason}
    happenings = await suppress(connection, **of, at=now)
    return [Suppressed(**of, instance_id=instance_id)], happenings
