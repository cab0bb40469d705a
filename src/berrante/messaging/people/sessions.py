"""Sessions of people: families of refresh tokens that rotate, and end when one is shown a second time."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit
from berrante.messaging.audit import Actor
from berrante.messaging.errors import RefreshRaced, SessionEnded
from berrante.messaging.fields import storable
from berrante.messaging.people.models import people, refresh_tokens, sessions
from berrante.messaging.people.person import Person, person_of
from berrante.store import Database, new_id

LIFE: Final = timedelta(days=14)
_MARK: Final = "brr_"
#: Two tabs of one browser may renew at the same moment; the second gets no token, and is no thief.
_RACE: Final = timedelta(seconds=10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """An open session, with its newest refresh token if it was just given one."""

    id: UUID
    person_id: UUID
    refresh_token: str


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(
        self, person_id: UUID, organization_id: UUID | None, *, address: str | None, user_agent: str | None
    ) -> Session:
        """Begin a session and return it with its first refresh token, which is stored nowhere."""
        session_id = new_id()
        row = {
            "id": session_id,
            "person_id": person_id,
            "organization_id": organization_id,
            "address": address,
            "user_agent": None if user_agent is None else storable(user_agent)[:300],
        }
        over = (sessions.c.person_id == person_id, sessions.c.expires_at < func.now())
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            await connection.execute(delete(sessions).where(*over))
            await connection.execute(insert(sessions).values(**row, expires_at=func.now() + LIFE))
            token = await _issue(connection, session_id)
        return Session(id=session_id, person_id=person_id, refresh_token=token)

    async def renew(self, token: str, *, address: str | None = None) -> Session:
        """Take a refresh token and return the session with its next one.

        A token that was used before ends the whole session, as one of its two holders stole it. Raises
        ``SessionEnded``, or ``RefreshRaced`` within ten seconds of the first use.
        """
        query = (
            select(
                refresh_tokens.c.sha256,
                refresh_tokens.c.used_at,
                (refresh_tokens.c.used_at > func.now() - _RACE).label("is_race"),
                sessions.c.id,
                sessions.c.person_id,
                sessions.c.organization_id,
                sessions.c.revoked_because,
                (sessions.c.expires_at < func.now()).label("is_over"),
                people.c.email,
                people.c.disabled_at,
            )
            .join(sessions, sessions.c.id == refresh_tokens.c.session_id)
            .join(people, people.c.id == sessions.c.person_id)
            .where(refresh_tokens.c.sha256 == _hash(token))
            # Both rows: who waits here sees what the one before did to either.
            .with_for_update(of=[refresh_tokens, sessions])
        )
        async with self._database.platform(because="a refresh token says whose session it is") as connection:
            row = (await connection.execute(query)).one_or_none()
            if row is None:
                raise SessionEnded("this refresh token is not known")
            if row.revoked_because is not None:
                raise SessionEnded(f"the session ended because {row.revoked_because}")
            if row.is_over or row.disabled_at is not None:
                raise SessionEnded("the session is over")
            if row.used_at is None:
                used = update(refresh_tokens).where(refresh_tokens.c.sha256 == row.sha256)
                await connection.execute(used.values(used_at=func.now()))
                return Session(id=row.id, person_id=row.person_id, refresh_token=await _issue(connection, row.id))
            if row.is_race:
                raise RefreshRaced
            reason = "a refresh token was used twice"
            await _revoke(connection, sessions.c.id == row.id, because=reason)
            await audit.record(
                connection,
                organization_id=row.organization_id,
                actor=Actor(kind="person", id=row.person_id, name=row.email, address=address),
                action="session.reuse_detected",
                subject=("session", row.id),
            )
        # Only now: an error within the block would have undone the revocation.
        raise SessionEnded(f"the session ended because {reason}")

    async def end(self, session_id: UUID) -> None:
        """End a session; ending it again changes nothing."""
        async with self._database.platform(because="the owner belongs to no organization") as connection:
            await _revoke(connection, sessions.c.id == session_id, because="the person logged out")

    async def end_by(self, token: str) -> None:
        """End the session of a refresh token, used or not; an unknown one is no error."""
        mine = select(refresh_tokens.c.session_id).where(refresh_tokens.c.sha256 == _hash(token))
        async with self._database.platform(because="a refresh token says whose session it is") as connection:
            await _revoke(connection, sessions.c.id.in_(mine), because="the person logged out")

    async def person(self, session_id: UUID) -> Person | None:
        """Return whose session it is, as they are now; None if it ended, or they are disabled."""
        query = (
            select(people)
            .join(sessions, sessions.c.person_id == people.c.id)
            .where(
                sessions.c.id == session_id,
                sessions.c.revoked_at.is_(None),
                sessions.c.expires_at > func.now(),
                people.c.disabled_at.is_(None),
            )
        )
        async with self._database.platform(because="whose session it is, is the question") as connection:
            row = (await connection.execute(query)).one_or_none()
        return person_of(row._mapping) if row else None


async def revoke_all(connection: AsyncConnection, person_id: UUID, *, because: str, but: UUID | None = None) -> int:
    """End all sessions of a person, ``but`` one, in the caller's transaction, and return how many."""
    which = sessions.c.person_id == person_id
    return await _revoke(connection, which if but is None else which & (sessions.c.id != but), because=because)


async def _revoke(connection: AsyncConnection, which: ColumnElement[bool], *, because: str) -> int:
    statement = update(sessions).where(which, sessions.c.revoked_at.is_(None))
    return (await connection.execute(statement.values(revoked_at=func.now(), revoked_because=because))).rowcount


async def _issue(connection: AsyncConnection, session_id: UUID) -> str:
    token = _MARK + secrets.token_urlsafe(32)
    await connection.execute(insert(refresh_tokens).values(sha256=_hash(token), session_id=session_id))
    return token


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
