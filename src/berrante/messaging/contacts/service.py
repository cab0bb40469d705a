"""Contacts as an organization keeps them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine.connection import system_clock
from berrante.messaging import audit
from berrante.messaging.addresses import checked, kind_of
from berrante.messaging.audit import Actor
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts import consent
from berrante.messaging.contacts.consent import Consent, Evidence
from berrante.messaging.contacts.contact import COLUMNS, Contact, contact_of
from berrante.messaging.contacts.details import (
    FieldValue,
    checked_fields,
    checked_language,
    checked_name,
    checked_tags,
    merged_fields,
    name_key,
)
from berrante.messaging.contacts.erasing import erase_person
from berrante.messaging.contacts.models import consents, contacts
from berrante.messaging.contacts.search import Search, found
from berrante.messaging.endpoints.emitting import emit_all, enqueue
from berrante.messaging.errors import Invalid, Missing, Taken, WrongState
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.tenancy import is_instance_id
from berrante.messaging.queues import Queues
from berrante.messaging.quotas.service import admit_contacts
from berrante.store import Database, new_id

_DEADLOCK: Final = "40P01"


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """One line of the log of what a contact agreed to."""

    id: UUID
    state: Consent
    source: str
    text: str | None
    by: str | None
    at: datetime
    created_at: datetime


class Contacts:
    """Makes, changes, finds and erases contacts; every call is about one organization's own."""

    def __init__(self, database: Database, queues: Queues, clock: Clock = system_clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock

    async def create(
        self,
        *,
        organization_id: UUID,
        instance_id: str,
        address: str,
        name: str | None = None,
        language: str | None = None,
        fields: Mapping[str, object] | None = None,
        tags: Iterable[str] = (),
        opt_in: Evidence | None = None,
    ) -> Contact:
        """Make a contact of a number.

        A person who spoke at another number of the organization has the consent that was given there. Raises
        ``Invalid``, ``Missing`` for an instance that is not the organization's, ``Taken`` if the number has this
        contact, ``WrongState`` if the person was erased and no new ``opt_in`` is given, and ``QuotaExceeded``.
        """
        address = checked(address, field="address")
        row: dict[str, Any] = {
            "id": new_id(),
            "organization_id": organization_id,
            "instance_id": instance_id,
            "address_kind": kind_of(address).value,
            "address": address,
            "language": checked_language(language) if language is not None else None,
            "fields": merged_fields({}, checked_fields(fields or {})),
            "tags": checked_tags(tags),
            "consent": consent.inherited(organization_id, address),
            "first_seen_at": moment(self._clock()),
            **(_named(name) if name is not None else {}),
        }
        opt_in = opt_in.checked() if opt_in is not None else None
        async with self._database.tenant(organization_id) as connection:
            await self._own_instance(connection, organization_id, instance_id)
            if opt_in is None:
                at = await consent.erased_at(connection, organization_id=organization_id, address=address)
                if at is not None:
                    needed = "opted in anew: give opt_in with its evidence"
                    raise WrongState("contact", address, state=f"erased since {at:%Y-%m-%d}", needed=needed)
            statement = insert(contacts).values(row).on_conflict_do_nothing(index_elements=["instance_id", "address"])
            made = (await connection.execute(statement.returning(contacts.c.id))).scalar_one_or_none()
            if made is None:
                raise Taken("contact", address)
            await admit_contacts(connection, organization_id, adding=0)  # it is there already
            if opt_in is not None:
                await consent.record(
                    connection,
                    organization_id=organization_id,
                    contact_id=made,
                    address=address,
                    state=Consent.OPTED_IN,
                    evidence=opt_in,
                )
            return await _contact(connection, organization_id, made)

    async def get(self, organization_id: UUID, contact_id: UUID) -> Contact | None:
        """Return one of an organization's contacts, or None; who was erased is not there."""
        async with self._database.tenant(organization_id) as connection:
            row = await _row(connection, organization_id, contact_id)
        return contact_of(row._mapping) if row else None

    async def search(self, organization_id: UUID, search: Search) -> list[Contact]:
        """Return the contacts that a search finds, newest first."""
        async with self._database.tenant(organization_id) as connection:
            return [contact_of(row._mapping) for row in await connection.execute(found(organization_id, search))]

    async def update(
        self,
        organization_id: UUID,
        contact_id: UUID,
        *,
        name: str | None = None,
        language: str | None = None,
        fields: Mapping[str, object] | None = None,
        tags: Iterable[str] | None = None,
        blocked: bool | None = None,
    ) -> Contact:
        """Change what is given: tags as a whole, fields one by one (None takes a field away).

        Raises ``Invalid`` and ``Missing``.
        """
        values: dict[str, Any] = _named(name) if name is not None else {}
        if language is not None:
            values["language"] = checked_language(language)
        if tags is not None:
            values["tags"] = checked_tags(tags)
        changed = checked_fields(fields) if fields is not None else None
        async with self._database.tenant(organization_id) as connection:
            contact = await _locked(connection, organization_id, contact_id)
            if changed is not None:
                values["fields"] = merged_fields(contact.fields, changed)
            if blocked is not None:
                values["blocked_at"] = (contact.blocked_at or moment(self._clock())) if blocked else None
            return await _changed(connection, contact, values)

    async def tag(self, organization_id: UUID, contact_id: UUID, tags: Iterable[str]) -> Contact:
        """Add tags. Raises ``Invalid`` and ``Missing``."""
        added = checked_tags(tags)
        async with self._database.tenant(organization_id) as connection:
            contact = await _locked(connection, organization_id, contact_id)
            return await _changed(connection, contact, {"tags": checked_tags({*contact.tags, *added})})

    async def untag(self, organization_id: UUID, contact_id: UUID, tags: Iterable[str]) -> Contact:
        """Take tags away; those that are not there are passed over. Raises ``Invalid`` and ``Missing``."""
        gone = checked_tags(tags)
        async with self._database.tenant(organization_id) as connection:
            contact = await _locked(connection, organization_id, contact_id)
            return await _changed(connection, contact, {"tags": sorted({*contact.tags} - {*gone})})

    async def opt_in(self, organization_id: UUID, contact_id: UUID, evidence: Evidence) -> Contact:
        """Store that the person agreed to campaigns, at every number of the organization. Raises ``Missing``."""
        return await self._consent(organization_id, contact_id, Consent.OPTED_IN, evidence)

    async def opt_out(self, organization_id: UUID, contact_id: UUID, evidence: Evidence) -> Contact:
        """Store that campaigns must not write to the person, at any number of the organization. Raises ``Missing``."""
        return await self._consent(organization_id, contact_id, Consent.OPTED_OUT, evidence)

    async def consents(self, organization_id: UUID, contact_id: UUID) -> Sequence[Recorded]:
        """Return the log of what a contact agreed to, the latest first. Raises ``Missing``."""
        query = (
            select(*(consents.c[name] for name in Recorded.__dataclass_fields__))
            .where(consents.c.organization_id == organization_id, consents.c.contact_id == contact_id)
            .order_by(consents.c.id.desc())
            .limit(500)
        )
        async with self._database.tenant(organization_id) as connection:
            if await _row(connection, organization_id, contact_id) is None:
                raise Missing("contact", contact_id)
            rows = await connection.execute(query)
            return [Recorded(**{**row._mapping, "state": Consent(row.state)}) for row in rows]

    async def erase(self, organization_id: UUID, contact_id: UUID, *, actor: Actor | None = None) -> None:
        """Erase the person from all numbers of the organization (see ``erasing``). Raises ``Missing``."""
        for is_last in (False, False, True):
            try:
                async with self._database.tenant(organization_id) as connection:
                    contact = await _locked(connection, organization_id, contact_id)
                    now = moment(self._clock())
                    await erase_person(connection, organization_id=organization_id, address=contact.address, at=now)
                    if actor is not None:
                        await audit.record(
                            connection,
                            organization_id=organization_id,
                            actor=actor,
                            action="contact.erased",
                            subject=("contact", contact_id),
                        )
            except DBAPIError as error:
                # Workers lock a run or a message first, and then look at the contact: one of the two has to give way.
                if is_last or getattr(error.orig, "sqlstate", None) != _DEADLOCK:
                    raise
            else:
                return

    async def _consent(self, organization_id: UUID, contact_id: UUID, state: Consent, evidence: Evidence) -> Contact:
        evidence = evidence.checked()
        if evidence.at > moment(self._clock() + 60_000):
            raise Invalid("at", "lies in the future", remedy="give when the person said it")
        async with self._database.tenant(organization_id) as connection:
            row = await _row(connection, organization_id, contact_id)
            if row is None:
                raise Missing("contact", contact_id)
            happenings = await consent.record(
                connection,
                organization_id=organization_id,
                contact_id=contact_id,
                address=row.address,
                state=state,
                evidence=evidence,
            )
            told = await emit_all(connection, happenings)
            contact = await _contact(connection, organization_id, contact_id)
        await enqueue(self._queues, told)
        return contact

    async def _own_instance(self, connection: AsyncConnection, organization_id: UUID, instance_id: str) -> None:
        query = select(instances.c.id).where(
            instances.c.organization_id == organization_id, instances.c.id == instance_id
        )
        if not is_instance_id(instance_id) or (await connection.execute(query)).one_or_none() is None:
            raise Missing("instance", instance_id[:60])


def _named(name: str) -> dict[str, Any]:
    name = checked_name(name)
    return {"name": name, "name_key": name_key(name), "name_given": True}


async def _row(connection: AsyncConnection, organization_id: UUID, contact_id: UUID) -> Row[Any] | None:
    query = select(*COLUMNS).where(
        contacts.c.organization_id == organization_id, contacts.c.id == contact_id, contacts.c.erased_at.is_(None)
    )
    return (await connection.execute(query)).one_or_none()


async def _contact(connection: AsyncConnection, organization_id: UUID, contact_id: UUID) -> Contact:
    row = await _row(connection, organization_id, contact_id)
    if row is None:
        raise Missing("contact", contact_id)
    return contact_of(row._mapping)


async def _locked(connection: AsyncConnection, organization_id: UUID, contact_id: UUID) -> Contact:
    query = (
        select(*COLUMNS)
        .where(
            contacts.c.organization_id == organization_id, contacts.c.id == contact_id, contacts.c.erased_at.is_(None)
        )
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise Missing("contact", contact_id)
    return contact_of(row._mapping)


async def _changed(connection: AsyncConnection, contact: Contact, values: Mapping[str, FieldValue | Any]) -> Contact:
    statement = (
        update(contacts).where(contacts.c.id == contact.id).values(**values, updated_at=func.now()).returning(*COLUMNS)
    )
    return contact_of((await connection.execute(statement)).one()._mapping)
