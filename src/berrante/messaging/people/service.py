"""People who log in: an organization's, and the platform's owner."""

import re
import secrets
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit
from berrante.messaging.audit import Actor
from berrante.messaging.errors import Invalid, LoginFailed, Missing, Taken
from berrante.messaging.fields import named, storable
from berrante.messaging.people.models import people
from berrante.messaging.people.passwords import Passwords
from berrante.messaging.people.person import Person, person_of
from berrante.messaging.people.roles import ADMINISTRATORS, Role
from berrante.messaging.people.rules import admit_role, keep_administrators
from berrante.messaging.people.sessions import revoke_all
from berrante.store import Database, new_id

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_MOST: Final = 500


class People:
    """Makes, changes and removes people, and knows them by their password."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._passwords = Passwords()

    async def ensure_owner(
        self, email: str, password: str, *, organization_id: UUID | None = None, actor: Actor = audit.COMMAND
    ) -> bool:
        """Make an owner of the platform, or of an organization, unless the address is known; True if this call did.

        The password of a person who exists is left alone. Raises ``Invalid``.
        """
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "email": email_of(email),
            "password_hash": await self._passwords.hash(password),
            "role": Role.OWNER.value,
        }
        statement = insert(people).values(row).on_conflict_do_nothing(index_elements=["email"]).returning(people)
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            made = (await connection.execute(statement)).one_or_none()
            if made is not None:
                await _record(connection, "created", None, person_of(made._mapping), actor)
        return made is not None

    async def reset_owner(
        self, email: str, password: str, *, organization_id: UUID | None = None, actor: Actor = audit.COMMAND
    ) -> int:
        """Give an owner of the platform or an organization a new password and end their sessions; returns how many.

        Raises ``Missing`` if no owner has the address, and ``Invalid``.
        """
        hashed = await self._passwords.hash(password)
        of = people.c.organization_id.is_not_distinct_from(organization_id)
        mine = (people.c.email == email_of(email), people.c.role == Role.OWNER.value, of)
        statement = update(people).where(*mine).values(password_hash=hashed, disabled_at=None).returning(people)
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            row = (await connection.execute(statement)).one_or_none()
            if row is None:
                raise Missing("owner", email[:80])
            await _record(connection, "password_reset", None, person_of(row._mapping), actor)
            return await revoke_all(connection, row.id, because="the password was reset")

    async def create(
        self,
        organization_id: UUID,
        *,
        email: str,
        role: Role,
        name: str | None = None,
        password: str | None = None,
        actor: Actor,
        may: frozenset[str],
    ) -> tuple[Person, str | None]:
        """Make a person; without a ``password`` one is drawn and returned, to be shown once.

        ``may`` are the scopes of whoever asks: nobody gives a role that can do more than themselves.
        Raises ``Invalid``, ``Taken`` and ``Denied``.
        """
        admit_role(role, may)
        drawn = None if password else secrets.token_urlsafe(12)
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "email": email_of(email),
            "name": None if name is None else named(name),
            "role": role.value,
            "password_hash": await self._passwords.hash(password or drawn or ""),
        }
        statement = insert(people).values(row).on_conflict_do_nothing(index_elements=["email"]).returning(people)
        async with self._database.tenant(organization_id) as connection:
            made = (await connection.execute(statement)).one_or_none()
            if made is None:
                raise Taken("e-mail address", row["email"])
            person = person_of(made._mapping)
            await _record(connection, "created", None, person, actor)
        return person, drawn

    async def get(self, organization_id: UUID, person_id: UUID) -> Person | None:
        """Return one of an organization's people, or None."""
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(select(people).where(_own(organization_id, person_id)))).one_or_none()
        return person_of(row._mapping) if row else None

    async def list(self, organization_id: UUID, limit: int = 50, after: UUID | None = None) -> list[Person]:
        """Return up to ``limit`` (1 to 500) of an organization's people, newest first, those that follow ``after``."""
        if not 1 <= limit <= _MOST:
            raise Invalid("limit", f"is {limit}", remedy=f"give 1 to {_MOST}")
        query = select(people).where(people.c.organization_id == organization_id)
        if after is not None:
            query = query.where(people.c.id < after)
        async with self._database.tenant(organization_id) as connection:
            found = await connection.execute(query.order_by(people.c.id.desc()).limit(limit))
            return [person_of(row._mapping) for row in found]

    async def change(
        self,
        organization_id: UUID,
        person_id: UUID,
        *,
        actor: Actor,
        may: frozenset[str],
        role: Role | None = None,
        name: str | None = None,
        disabled: bool | None = None,
    ) -> Person:
        """Change what is given. A new role, and being disabled, hold from the next request on.

        Raises ``Missing``, ``Invalid``, ``Denied``, and ``WrongState`` for the last owner or admin.
        """
        async with self._database.tenant(organization_id) as connection:
            before, others = await _locked(connection, organization_id, person_id)
            admit_role(before.role, may)  # nor does anybody change those who can do more
            if role is not None:
                admit_role(role, may)
            values: dict[str, object] = {}
            if role is not None:
                values["role"] = role.value
            if name is not None:
                values["name"] = named(name)
            if disabled is not None and disabled != before.is_disabled:
                values["disabled_at"] = func.now() if disabled else None
            if not values:
                return before
            changed = update(people).where(_own(organization_id, person_id)).values(values).returning(people)
            after = person_of((await connection.execute(changed)).one()._mapping)
            keep_administrators(before, after, others)
            if after.is_disabled:
                await revoke_all(connection, person_id, because="the person was disabled")
            await _record(connection, "updated", before, after, actor)
        return after

    async def reset_password(
        self, organization_id: UUID, person_id: UUID, *, actor: Actor, may: frozenset[str], password: str | None = None
    ) -> str | None:
        """Set a person's password and end all their sessions; a password that was drawn is returned.

        Raises ``Missing``, ``Invalid`` and ``Denied``.
        """
        drawn = None if password else secrets.token_urlsafe(12)
        hashed = await self._passwords.hash(password or drawn or "")
        async with self._database.tenant(organization_id) as connection:
            person, _ = await _locked(connection, organization_id, person_id)
            admit_role(person.role, may)
            mine = _own(organization_id, person_id)
            await connection.execute(update(people).where(mine).values(password_hash=hashed))
            await revoke_all(connection, person_id, because="the password was reset")
            await _record(connection, "password_reset", None, person, actor)
        return drawn

    async def change_password(self, person: Person, *, current: str, new: str, session_id: UUID, actor: Actor) -> None:
        """Let a person change their own password, and end their other sessions. Raises ``LoginFailed``, ``Invalid``."""
        if await self.verify(person.email, current) is None:
            raise LoginFailed
        hashed = await self._passwords.hash(new)
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            mine = update(people).where(people.c.id == person.id)
            await connection.execute(mine.values(password_hash=hashed))
            await revoke_all(connection, person.id, because="the password was changed", but=session_id)
            await _record(connection, "password_changed", None, person, actor)

    async def remove(self, organization_id: UUID, person_id: UUID, *, actor: Actor, may: frozenset[str]) -> None:
        """Remove a person with their sessions; what they did stays in the audit log.

        Raises ``Missing``, ``Denied``, and ``WrongState`` for the last owner or admin.
        """
        async with self._database.tenant(organization_id) as connection:
            person, others = await _locked(connection, organization_id, person_id)
            admit_role(person.role, may)
            keep_administrators(person, None, others)
            await connection.execute(delete(people).where(_own(organization_id, person_id)))
            await _record(connection, "removed", person, None, actor)

    async def verify(self, email: str, password: str) -> Person | None:
        """Return the person if the password is theirs and they are not disabled, else None.

        An unknown address takes as long as a known one.
        """
        query = select(people).where(people.c.email == storable(email).strip().lower())
        async with self._database.platform(because="whose address it is, is the question") as connection:
            row = (await connection.execute(query)).one_or_none()
        if not await self._passwords.matches(row.password_hash if row else None, password):
            return None
        if row is None or row.disabled_at is not None:
            return None
        values: dict[str, object] = {"last_login_at": func.now()}
        if self._passwords.is_outdated(row.password_hash):
            values["password_hash"] = await self._passwords.hash(password)
        # Not if the password was changed meanwhile: the old one must not come back.
        same = (people.c.id == row.id, people.c.password_hash == row.password_hash)
        seen = update(people).where(*same).values(values).returning(people)
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            updated = (await connection.execute(seen)).one_or_none()
        return person_of(updated._mapping) if updated else None


def email_of(email: str) -> str:
    """Return the address in lower case; raises ``Invalid``."""
    email = storable(email).strip().lower()
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        raise Invalid("email", f"is {email[:40]!r}", remedy="give an address such as owner@example.com")
    return email


def _own(organization_id: UUID, person_id: UUID) -> ColumnElement[bool]:
    return (people.c.organization_id == organization_id) & (people.c.id == person_id)


async def _locked(connection: AsyncConnection, organization_id: UUID, person_id: UUID) -> tuple[Person, list[Person]]:
    """Return the person, and the organization's other owners and admins; all of them are locked.

    In one order everywhere: two admins who remove each other at once neither deadlock nor both succeed.
    """
    query = (
        select(people)
        .where(
            people.c.organization_id == organization_id,
            people.c.role.in_(sorted(ADMINISTRATORS)) | (people.c.id == person_id),
        )
        .order_by(people.c.id)
        .with_for_update()
    )
    found = [person_of(row._mapping) for row in await connection.execute(query)]
    person = next((person for person in found if person.id == person_id), None)
    if person is None:
        raise Missing("person", person_id)
    return person, [other for other in found if other.id != person_id]


async def _record(
    connection: AsyncConnection, verb: str, before: Person | None, after: Person | None, actor: Actor
) -> None:
    person = after or before
    assert person is not None
    await audit.record(
        connection,
        organization_id=person.organization_id,
        actor=actor,
        action=f"person.{verb}",
        subject=("person", person.id),
        before=_told(before),
        after=_told(after),
    )


def _told(person: Person | None) -> dict[str, object] | None:
    if person is None:
        return None
    return {
        "email": person.email,
        "name": person.name,
        "role": person.role.value,
        "disabled": person.is_disabled,
    }
