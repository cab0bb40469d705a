"""People who log in, and the check of their passwords."""

import asyncio
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import RowMapping, select
from sqlalchemy.dialects.postgresql import insert

from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable
from berrante.messaging.people.models import people
from berrante.store import Database, new_id

_EMAIL: Final = re.compile(r"[^@\s]{1,64}@[^@\s]{1,255}")
_SHORTEST, _LONGEST = 8, 1_024


@dataclass(frozen=True, kw_only=True, slots=True)
class Person:
    """Someone who logs in; the platform's owner has no organization."""

    id: UUID
    organization_id: UUID | None
    email: str
    role: str
    created_at: datetime


class People:
    """Makes people, and knows them by their password."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._hasher = PasswordHasher()
        self._nobody: str | None = None

    async def ensure_owner(self, email: str, password: str) -> bool:
        """Make the platform's owner unless the address is known; True if this call made them.

        The password of a person who exists is left alone. Raises ``Invalid``.
        """
        email = _email(email)
        if not _SHORTEST <= len(password) <= _LONGEST:
            raise Invalid("password", f"has {len(password)} characters", remedy=f"give {_SHORTEST} to {_LONGEST}")
        row = {
            "id": new_id(),
            "email": email,
            "password_hash": await asyncio.to_thread(self._hasher.hash, storable(password)),
            "role": "owner",
        }
        statement = insert(people).values(row).on_conflict_do_nothing(index_elements=["email"]).returning(people.c.id)
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            return (await connection.execute(statement)).one_or_none() is not None

    async def get(self, person_id: UUID) -> Person | None:
        """Return a person, or None."""
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            row = (await connection.execute(select(people).where(people.c.id == person_id))).one_or_none()
        return _person(row._mapping) if row else None

    async def verify(self, email: str, password: str) -> Person | None:
        """Return the person if the password is theirs, else None; an unknown address takes as long."""
        query = select(people).where(people.c.email == storable(email).strip().lower())
        async with self._database.platform(because="whose address it is, is the question") as connection:
            row = (await connection.execute(query)).one_or_none()
        hash_ = row.password_hash if row else await self._hash_of_nobody()
        if len(password) > _LONGEST or not await asyncio.to_thread(self._matches, hash_, storable(password)):
            return None
        return _person(row._mapping) if row else None

    def _matches(self, hash_: str, password: str) -> bool:
        try:
            return self._hasher.verify(hash_, password)
        except VerificationError:
            return False

    async def _hash_of_nobody(self) -> str:
        if self._nobody is None:
            self._nobody = await asyncio.to_thread(self._hasher.hash, "nobody's password")
        return self._nobody


def _email(email: str) -> str:
    email = email.strip().lower()
    if not _EMAIL.fullmatch(email) or not email.isprintable():
        raise Invalid("email", f"is {email[:40]!r}", remedy="give an address such as owner@example.com")
    return email


def _person(row: RowMapping) -> Person:
    return Person(**{name: value for name, value in row.items() if name != "password_hash"})
