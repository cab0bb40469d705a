"""What waited behind a hold that ended looks again at once, not at the time that it was told then."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import select

from berrante.engine import JobMissing, JobNotInState, Queue
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.jobs import send_id
from berrante.store import Database

#: More than these look again by themselves, within five minutes.
_MOST: Final = 1_000
_AT_ONCE: Final = 50


@dataclass(frozen=True, slots=True)
class Waker:
    """Wakes numbers whose holds were ended. Woken for nothing, a message looks, and goes on waiting."""

    database: Database
    outbound: Queue

    async def wake(self, organization_id: UUID, instance_ids: Iterable[str], *, after_ms: int = 0) -> None:
        """End the rest of each number's lane, and let its delayed messages look again; after the commit, please."""
        for instance_id in sorted(set(instance_ids)):
            await self.outbound.groups.wake(instance_id, after_ms=after_ms)
            ids = await self._queued(organization_id, instance_id)
            for first in range(0, len(ids), _AT_ONCE):
                await asyncio.gather(*(self._hasten(id_, after_ms) for id_ in ids[first : first + _AT_ONCE]))

    async def _queued(self, organization_id: UUID, instance_id: str) -> list[UUID]:
        m = messages.c
        query = (
            select(m.id)
            .where(
                m.organization_id == organization_id,
                m.instance_id == instance_id,
                m.direction == "out",
                m.status == MessageStatus.QUEUED.value,
            )
            .order_by(m.id)
            .limit(_MOST)
        )
        async with self.database.tenant(organization_id) as connection:
            return list((await connection.execute(query)).scalars())

    async def _hasten(self, message_id: UUID, after_ms: int) -> None:
        try:
            await self.outbound.change_delay(send_id(message_id), after_ms)
        except (JobMissing, JobNotInState):
            return  # it waits in its lane, runs, or was never added: the reconciler's business
