"""Quotas: how many messages a day, running campaigns and contacts an organization may have."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from redis.asyncio import Redis
from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging import audit, limits
from berrante.messaging.audit import Actor
from berrante.messaging.campaigns.models import campaigns
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Missing, QuotaExceeded
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations.models import organizations
from berrante.messaging.quotas.models import quotas
from berrante.store import Database, first_id

_DAILY: Final = (Path(limits.__file__).parent / "daily.lua").read_text()
_KEPT_S: Final = 48 * 3_600
#: When to look again whether contacts were erased or campaigns ended: nobody knows.
_LATER_S: Final = 3_600
#: A request's limit may be this old: it is read at every request.
_REMEMBERED_S: Final = 10.0
_REMEMBERED_MOST: Final = 10_000
_OF: Final = select(
    quotas.c.messages_per_day, quotas.c.campaigns_running, quotas.c.contacts, quotas.c.requests_per_minute
).where(quotas.c.organization_id == bindparam("of"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Quota:
    """What an organization may use; None is no limit (for requests: the settings' limit)."""

    messages_per_day: int | None = None
    campaigns_running: int | None = None
    contacts: int | None = None
    requests_per_minute: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """What an organization uses now; messages since midnight UTC."""

    messages_today: int
    campaigns_running: int
    contacts: int


class Quotas:
    """Sets quotas, and takes from them."""

    def __init__(self, database: Database, redis: Redis, *, prefix: str, clock: Clock) -> None:
        self._database = database
        self._redis = redis
        self._take = redis.register_script(_DAILY)
        self._prefix = f"berrante:{prefix}:messages"
        self._clock = clock
        self._remembered: dict[UUID, tuple[float, Quota]] = {}

    async def get(self, organization_id: UUID) -> Quota:
        """Return an organization's quota."""
        async with self._database.tenant(organization_id) as connection:
            return await _read(connection, organization_id)

    async def set(self, organization_id: UUID, quota: Quota, *, actor: Actor) -> None:
        """Set an organization's quota as a whole; what was sent today counts, also before there was a limit.

        Raises ``Missing``.
        """
        row = {"organization_id": organization_id, **asdict(quota)}
        statement = insert(quotas).values(row)
        changed = {**asdict(quota), "updated_at": func.now()}
        statement = statement.on_conflict_do_update(index_elements=["organization_id"], set_=changed)
        async with self._database.platform(because="only the platform sets quotas") as connection:
            owner = select(organizations.c.id).where(organizations.c.id == organization_id).with_for_update()
            if (await connection.execute(owner)).one_or_none() is None:
                raise Missing("organization", organization_id)
            before = await _read(connection, organization_id)
            await connection.execute(statement)
            # Before the commit: if Redis is away, nothing changes.
            await self._begin_counting(organization_id, before, quota)
            await audit.record(
                connection,
                organization_id=organization_id,
                actor=actor,
                action="quota.updated",
                subject=("quota", organization_id),
                before=asdict(before),
                after=asdict(quota),
            )
        self._remembered.pop(organization_id, None)

    async def usage(self, organization_id: UUID) -> Usage:
        """Count what an organization uses now, from its rows."""
        async with self._database.tenant(organization_id) as connection:
            return Usage(
                messages_today=await self._sent_today(connection, organization_id),
                campaigns_running=await _running(connection, organization_id),
                contacts=await _contacts(connection, organization_id),
            )

    async def requests_per_minute(self, organization_id: UUID) -> int | None:
        """Return the organization's own limit of requests, remembered for some seconds."""
        return (await self._lately(organization_id)).requests_per_minute

    async def _lately(self, organization_id: UUID) -> Quota:
        now = time.monotonic()
        at, quota = self._remembered.get(organization_id, (0.0, None))
        if quota is None or now - at > _REMEMBERED_S:
            known, quota = quota, await self.get(organization_id)
            if known is not None:  # what this process wrote since the limit was set is in the rows alone
                await self._begin_counting(organization_id, known, quota)
            if len(self._remembered) >= _REMEMBERED_MOST:
                self._remembered.clear()
            self._remembered[organization_id] = (now, quota)
        return quota

    async def _begin_counting(self, organization_id: UUID, before: Quota, after: Quota) -> None:
        """Forget a count from when there was a limit earlier in the day: without one nothing is counted."""
        if before.messages_per_day is None and after.messages_per_day is not None:
            await self._redis.delete(self._key(organization_id))

    async def take_messages(self, organization_id: UUID, number: int = 1) -> None:
        """Take from today's messages; raises ``QuotaExceeded`` and takes none if too few are left.

        Counted in Redis; a Redis that forgot is told by the rows. Give back what was not written. The limit itself is
        remembered for some seconds: it is read for every message.
        """
        limit = (await self._lately(organization_id)).messages_per_day
        if limit is None:
            return
        key = self._key(organization_id)
        verdict, used, _ = await self._take(keys=[key], args=[number, limit, _KEPT_S, "", number])
        if verdict == -1:
            async with self._database.tenant(organization_id) as connection:
                known = await self._sent_today(connection, organization_id)
            verdict, used, _ = await self._take(keys=[key], args=[number, limit, _KEPT_S, known, number])
        if verdict != 1:
            raise QuotaExceeded("messages a day", limit=limit, used=int(used), retry_after_s=self._until_midnight_s())

    async def give_back_messages(self, organization_id: UUID, number: int = 1) -> None:
        """Give back messages that were taken and not written."""
        await self._add(self._key(organization_id), -number)

    async def count_messages(self, organization_id: UUID, number: int) -> None:
        """Count messages that were written whatever is left."""
        if (await self._lately(organization_id)).messages_per_day is not None:
            await self._add(self._key(organization_id), number)

    @asynccontextmanager
    async def spending(self, organization_id: UUID) -> AsyncIterator["Spending"]:
        """Let a transaction, which begins and ends within the block, take as many messages as are left today.

        What it took and did not write is given back, and all of it if the block raises.
        """
        # Read before the transaction begins: whoever holds a connection must not wait for a second one.
        limit = (await self._lately(organization_id)).messages_per_day
        spending = Spending(self, organization_id, limit=limit, key=self._key(organization_id))
        try:
            yield spending
        except BaseException:
            spending.written = 0
            raise
        finally:
            if unwritten := spending.taken - spending.written:
                await self._add(spending.key, -unwritten)

    async def _take_some(
        self, connection: AsyncConnection, organization_id: UUID, number: int, *, limit: int, key: str
    ) -> tuple[int, int]:
        """Take up to ``number``; returns how many were taken and how many are used."""
        verdict, used, taken = await self._take(keys=[key], args=[number, limit, _KEPT_S, "", 1])
        if verdict == -1:
            known = await self._sent_today(connection, organization_id)
            _, used, taken = await self._take(keys=[key], args=[number, limit, _KEPT_S, known, 1])
        return int(taken), int(used)

    async def _add(self, key: str, number: int) -> bool:
        """Add to what is used, if Redis knows it; a Redis that forgot is told by the rows."""
        if not await self._redis.exists(key):
            return False
        await self._redis.incrby(key, number)
        return True

    async def _sent_today(self, connection: AsyncConnection, organization_id: UUID) -> int:
        # The index on (organization_id, id) finds the day's first.
        first = first_id(milliseconds(self._midnight()))
        query = select(func.count()).where(
            messages.c.organization_id == organization_id, messages.c.id >= first, messages.c.direction == "out"
        )
        return int((await connection.execute(query)).scalar_one())

    def _key(self, organization_id: UUID) -> str:
        return f"{self._prefix}:{organization_id}:{self._midnight():%Y%m%d}"

    def _midnight(self) -> datetime:
        return moment(self._clock()).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)

    def _until_midnight_s(self) -> int:
        left = self._midnight() + timedelta(days=1) - moment(self._clock())
        return max(1, -(-left // timedelta(seconds=1)))


class Spending:
    """The messages that one transaction takes from an organization's day."""

    def __init__(self, quotas: Quotas | None, organization_id: UUID, *, limit: int | None, key: str) -> None:
        self._quotas = quotas
        self._organization_id = organization_id
        self._limit = limit
        self.key = key
        self.taken = 0
        self.written = 0
        #: Why a campaign waits, and how long, once there was nothing left to take.
        self.reason: str | None = None
        self.wait_s = 0

    async def take(self, connection: AsyncConnection, number: int) -> int:
        """Take up to ``number``, and return how many may be written; add to ``written`` what was."""
        if self._quotas is None or self._limit is None:
            return number
        taken, used = await self._quotas._take_some(
            connection, self._organization_id, number, limit=self._limit, key=self.key
        )
        if taken == 0:
            self.wait_s = self._quotas._until_midnight_s()
            refusal = QuotaExceeded("messages a day", limit=self._limit, used=used, retry_after_s=self.wait_s)
            self.reason = f"waits until midnight UTC: {refusal}"
        self.taken += taken
        return taken

    async def count(self, number: int = 1) -> None:
        """Count messages that are written whatever is left."""
        if self._quotas is not None and self._limit is not None and await self._quotas._add(self.key, number):
            self.taken += number
            self.written += number


@asynccontextmanager
async def spending(quotas: Quotas | None, organization_id: UUID) -> AsyncIterator[Spending]:
    """Spend of the quotas, as ``Quotas.spending`` does; of None there is no end."""
    if quotas is None:
        yield Spending(None, organization_id, limit=None, key="")
        return
    async with quotas.spending(organization_id) as spent:
        yield spent


async def admit_contacts(connection: AsyncConnection, organization_id: UUID, adding: int = 1) -> None:
    """Raise ``QuotaExceeded`` if so many contacts more are too many.

    Call it in the transaction that adds them, which then holds a lock: others who add wait until it ends.
    """
    limit = (await _read(connection, organization_id)).contacts
    if limit is not None:
        await _lock(connection, organization_id, "contacts")
        used = await _contacts(connection, organization_id)
        if used + adding > limit:
            raise QuotaExceeded("contacts", limit=limit, used=used, retry_after_s=_LATER_S)


async def admit_campaign(connection: AsyncConnection, organization_id: UUID) -> None:
    """Raise ``QuotaExceeded`` if one more running campaign is too many; call it in the transaction that starts it."""
    limit = (await _read(connection, organization_id)).campaigns_running
    if limit is not None:
        await _lock(connection, organization_id, "campaigns")
        used = await _running(connection, organization_id)
        if used + 1 > limit:
            raise QuotaExceeded("running campaigns", limit=limit, used=used, retry_after_s=_LATER_S)


async def _read(connection: AsyncConnection, organization_id: UUID) -> Quota:
    row = (await connection.execute(_OF, {"of": organization_id})).one_or_none()
    return Quota(**row._mapping) if row else Quota()


async def _running(connection: AsyncConnection, organization_id: UUID) -> int:
    query = select(func.count()).where(campaigns.c.organization_id == organization_id, campaigns.c.status == "running")
    return int((await connection.execute(query)).scalar_one())


async def _contacts(connection: AsyncConnection, organization_id: UUID) -> int:
    query = select(func.count()).where(contacts.c.organization_id == organization_id, contacts.c.erased_at.is_(None))
    return int((await connection.execute(query)).scalar_one())


async def _lock(connection: AsyncConnection, organization_id: UUID, what: str) -> None:
    name = f"berrante quota {what} {organization_id}"
    await connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))
