"""Idempotency keys: whoever inserts first does the request, everyone else is told what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import ColumnElement, and_, case, delete, func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert

from berrante.messaging.idempotency.derived import derived_id
from berrante.messaging.idempotency.models import idempotency_keys
from berrante.store import Database

KEPT: Final = timedelta(hours=24)
#: How long a process that fell silent is believed to be at work; it renews its lease long before.
LEASE: Final = timedelta(seconds=60)
_BATCH: Final = 5_000


@dataclass(frozen=True, kw_only=True, slots=True)
class KeptAnswer:
    """An answer as it was given; ``body`` is None if it held what may not be kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Begun:
    """The request is ours to do. ``id`` is the same when a later try has to finish what we do not."""

    organization_id: UUID
    key: str
    token: UUID
    id: UUID


@dataclass(frozen=True, slots=True)
class Done:
    """The request was done."""

    answer: KeptAnswer


@dataclass(frozen=True, slots=True)
class Running:
    """Another process is at it, and gives up in ``for_s`` unless it says otherwise."""

    for_s: int


@dataclass(frozen=True, slots=True)
class Differs:
    """The key was used for another request."""


class IdempotencyKeys:
    """The keys of all organizations. Times are the database's: processes need not agree on the clock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, organization_id: UUID, key: str, *, fingerprint: bytes) -> Begun | Done | Running | Differs:
        """Insert the key or tell why not, in one atomic step.

        A request whose process died, or which ended in an error of ours, is taken over by the next that is the same;
        a key older than a day is as good as new.
        """
        token, now = uuid4(), func.clock_timestamp()
        keys = idempotency_keys.c
        new = insert(idempotency_keys).values(
            organization_id=organization_id,
            key=key,
            fingerprint=fingerprint,
            token=token,
            lease_until=now + LEASE,
            created_at=now,
        )
        is_old = keys.created_at < now - KEPT
        is_free = and_(keys.answered_at.is_(None), keys.lease_until < now, keys.fingerprint == fingerprint)
        statement = new.on_conflict_do_update(
            index_elements=[keys.organization_id, keys.key],
            set_={
                "fingerprint": new.excluded.fingerprint,
                "token": new.excluded.token,
                "lease_until": new.excluded.lease_until,
                "created_at": case((is_old, new.excluded.created_at), else_=keys.created_at),
                "answered_at": None,
                "answer_status": None,
                "answer_headers": None,
                "answer_body": None,
            },
            where=or_(is_old, is_free),
        ).returning(keys.created_at)
        found = select(idempotency_keys, (keys.lease_until - now).label("left")).where(
            keys.organization_id == organization_id, keys.key == key
        )
        async with self._database.tenant(organization_id) as connection:
            created_at = (await connection.execute(statement)).scalar_one_or_none()
            if created_at is not None:
                id_ = derived_id(organization_id, key, at=created_at)
                return Begun(organization_id=organization_id, key=key, token=token, id=id_)
            # The insert that met it holds its lock until here: it is still there.
            row = (await connection.execute(found)).one()
        if row.fingerprint != fingerprint:
            return Differs()
        if row.answered_at is None:
            return Running(max(1, round(row.left.total_seconds())))
        return Done(KeptAnswer(status=row.answer_status, headers=row.answer_headers, body=row.answer_body))

    async def renew(self, begun: Begun) -> None:
        """Say that we are still at it."""
        await self._change(begun, lease_until=func.clock_timestamp() + LEASE)

    async def finish(self, begun: Begun, answer: KeptAnswer) -> None:
        """Keep the answer; changes nothing if another process took over from us."""
        await self._change(
            begun,
            answered_at=func.clock_timestamp(),
            answer_status=answer.status,
            answer_headers=dict(answer.headers),
            answer_body=answer.body,
        )

    async def give_up(self, begun: Begun) -> None:
        """Let the next same request try again, under the same ``id``: what ours did may be half done, or whole."""
        await self._change(begun, lease_until=func.clock_timestamp() - timedelta(seconds=1))

    async def forget_one(self, begun: Begun) -> None:
        """Forget the key: nothing was done."""
        async with self._database.tenant(begun.organization_id) as connection:
            await connection.execute(delete(idempotency_keys).where(*_ours(begun)))

    async def forget_old(self) -> int:
        """Remove the keys that are older than a day, in batches; return how many."""
        keys = idempotency_keys.c
        old = (
            select(keys.organization_id, keys.key)
            .where(keys.created_at < func.clock_timestamp() - KEPT)
            .limit(_BATCH)
            .with_for_update(skip_locked=True)  # one that is being begun anew is not old
        )
        gone = 0
        while True:
            async with self._database.platform(because="a chore forgets the old keys of all") as connection:
                statement = delete(idempotency_keys).where(tuple_(keys.organization_id, keys.key).in_(old))
                removed = (await connection.execute(statement)).rowcount
            gone += removed
            if removed < _BATCH:
                return gone

    async def _change(self, begun: Begun, **values: object) -> None:
        async with self._database.tenant(begun.organization_id) as connection:
            await connection.execute(update(idempotency_keys).where(*_ours(begun)).values(values))


def _ours(begun: Begun) -> tuple[ColumnElement[bool], ...]:
    keys = idempotency_keys.c
    return (
        keys.organization_id == begun.organization_id,
        keys.key == begun.key,
        keys.token == begun.token,
        keys.answered_at.is_(None),
    )
