"""Numbers that WhatsApp told to go slower: their rates, kept in the database, so that all processes share them."""

from typing import Final
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.outbound.policy.aimd import Aimd, Rate, recovered, slowed
from berrante.messaging.outbound.signals import Listener, RateChanged
from berrante.store import Database

#: How often a number that sends looks whether it may go faster: a row read, so not with each message.
_LOOK_MS: Final = 10_000
_MANY: Final = 10_000


class Rates:
    """Slows numbers and lets them recover; whoever paces them listens to ``RateChanged``."""

    def __init__(self, database: Database, *, clock: Clock, listener: Listener, aimd: Aimd | None = None) -> None:
        self._database = database
        self._clock = clock
        self._listener = listener
        self._aimd = aimd or Aimd()
        self._look_ms: dict[str, int] = {}

    async def slow_down(self, *, organization_id: UUID, instance_id: str) -> None:
        """WhatsApp refused: halve the rate, once for all sends that were under way together."""
        await self._change(organization_id, instance_id, slow=True)

    async def recover(self, *, organization_id: UUID, instance_id: str) -> None:
        """WhatsApp accepted: give back what a calm time has earned."""
        now_ms = self._clock()
        if self._look_ms.get(instance_id, 0) > now_ms:
            return
        if len(self._look_ms) >= _MANY:
            self._look_ms.clear()
        self._look_ms[instance_id] = now_ms + _LOOK_MS
        await self._change(organization_id, instance_id, slow=False)

    async def _change(self, organization_id: UUID, instance_id: str, *, slow: bool) -> None:
        now_ms = self._clock()
        async with self._database.begin() as connection:
            found = await _locked(connection, organization_id, instance_id)
            if found is None:
                return
            rate = found[0]
            if slow:
                new: Rate | None = slowed(self._aimd, rate, now_ms=now_ms)
            elif rate is None:
                return
            else:
                new = recovered(self._aimd, rate, now_ms=now_ms)
            if new == rate:
                return
            await _store(connection, instance_id, new)
        told = RateChanged(
            organization_id=organization_id, instance_id=instance_id, per_s=new.per_s if new is not None else None
        )
        await self._listener(told)


async def slowed_rates(database: Database) -> dict[str, float]:
    """Return the numbers that WhatsApp had us slow down and that have not recovered, in messages a second."""
    query = select(cloud_numbers.c.instance_id, cloud_numbers.c.rate_per_s).where(
        cloud_numbers.c.rate_per_s.is_not(None)
    )
    async with database.begin() as connection:
        return {row.instance_id: row.rate_per_s for row in await connection.execute(query)}


async def _locked(connection: AsyncConnection, organization_id: UUID, instance_id: str) -> tuple[Rate | None] | None:
    query = (
        select(cloud_numbers.c.rate_per_s, cloud_numbers.c.rate_changed_at)
        .where(cloud_numbers.c.instance_id == instance_id, cloud_numbers.c.organization_id == organization_id)
        .with_for_update()
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return None
    if row.rate_per_s is None or row.rate_changed_at is None:
        return (None,)
    return (Rate(per_s=row.rate_per_s, changed_ms=milliseconds(row.rate_changed_at)),)


async def _store(connection: AsyncConnection, instance_id: str, rate: Rate | None) -> None:
    values = {
        "rate_per_s": None if rate is None else rate.per_s,
        "rate_changed_at": None if rate is None else moment(rate.changed_ms),
    }
    await connection.execute(update(cloud_numbers).where(cloud_numbers.c.instance_id == instance_id).values(values))
