"""Campaign and outbound workers in a process of their own, to be killed; what contacts saw is kept in Redis."""

import asyncio
import json
import random
import sys
from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from berrante.engine import Connection, Worker, WorkerOptions
from berrante.gateways.protocol import Accepted, OutboundMessage
from berrante.messaging import tables  # noqa: F401  whole metadata
from berrante.messaging.handlers import handlers
from berrante.messaging.outbound.policy import steps
from berrante.messaging.queues import QueueName, open_queues
from berrante.store import Database


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Where the process works; ``prefix`` is also that of the keys in which the contacts' screens are kept."""

    redis_url: str
    database_url: str
    prefix: str


class Screens:
    """A WhatsApp that shows a wire id once, as the simulator and Baileys do, and outlives the process."""

    name: ClassVar[str] = "simulator"
    resend_is_safe: ClassVar[bool] = True

    def __init__(self, connection: Connection, prefix: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._luck = random.Random()

    def wire_id(self, message_id: UUID) -> str:
        return f"SIM{message_id.hex.upper()}"

    async def send(self, message: OutboundMessage) -> Accepted:
        redis = self._connection.redis
        await self._linger()
        await redis.sadd(f"{self._prefix}-screen", f"{message.to} {message.wire_id}")
        await self._linger()
        return Accepted(provider_id=message.wire_id, accepted_at_ms=self._connection.now_ms())

    async def _linger(self) -> None:
        """Be somewhere between claim, screen and answer for some round trips, so that a kill finds us there."""
        for _ in range(self._luck.randrange(20)):
            await self._connection.redis.ping()


async def _work(orders: Orders) -> None:
    steps.LEASE_MS = 1_500  # type: ignore[misc]  # a test does not wait half a minute for each kill
    database = Database(orders.database_url, pool_size=5)
    async with Connection.from_url(orders.redis_url) as connection:
        handle = handlers(
            database=database,
            queues=open_queues(connection, prefix=orders.prefix),
            gateways={"simulator": Screens(connection, orders.prefix)},
            campaign_per_minute=60_000,
        )
        workers = [
            Worker(
                name.value,
                handle[name],
                connection,
                WorkerOptions(concurrency=concurrency, lock_ms=1_500, stalled_interval_ms=500, max_stalled=1_000),
                prefix=orders.prefix,
            )
            for name, concurrency in ((QueueName.CAMPAIGN, 2), (QueueName.OUTBOUND, 8))
        ]
        await asyncio.gather(*(worker.run() for worker in workers))


if __name__ == "__main__":
    asyncio.run(_work(Orders(**json.loads(sys.argv[1]))))
