"""A worker process that is killed while it sends a webhook: the next one sends the same."""

import asyncio
import os
import sys
from pathlib import Path

from berrante.engine import Connection
from berrante.messaging.endpoints import Deliveries, Endpoints
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.store import Database
from tests.messaging.receiver import receiving
from tests.waiting import until

ROOT = Path(__file__).parents[2]


async def test_a_process_killed_in_mid_delivery_leaves_it_to_another_that_sends_the_same(
    connection: Connection, redis_url: str, database_url: str, prefix: str
) -> None:
    environment = os.environ | {
        "REDIS_URL": redis_url,
        "DATABASE_URL": database_url,
        "BERRANTE_QUEUE_PREFIX": prefix,
        "BERRANTE_WEBHOOKS_ALLOW_LOOPBACK": "true",
        "BERRANTE_WEBHOOK_LOCK_MS": "500",
        "BERRANTE_WEBHOOK_STALLED_INTERVAL_MS": "300",
    }

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "berrante", "worker", "webhook", env=environment, cwd=ROOT
        )

    database = Database(database_url)
    queues = open_queues(connection, prefix=prefix)
    endpoints, deliveries = Endpoints(database, queues, allow_loopback=True), Deliveries(database, queues)
    processes = []
    async with receiving() as receiver:
        try:
            owner = (await Organizations(database).create("Acme")).id
            endpoint = await endpoints.create(organization_id=owner, url=receiver.url, events=["*"])
            receiver.answers.append(asyncio.Event())  # the first request is never answered
            delivery_id = await endpoints.ping(owner, endpoint.id)
            processes.append(await start())
            await until(lambda: receiver.requests, timeout_s=50)
            processes[0].kill()
            await processes[0].wait()

            processes.append(await start())
            await until(lambda: len(receiver.requests) == 2, timeout_s=50)

            async def is_delivered() -> bool:
                return (await deliveries.get(owner, endpoint.id, delivery_id)).status == "delivered"

            await until(is_delivered)
            first, second = receiver.requests
            assert first.body == second.body
            assert first.headers["berrante-id"] == second.headers["berrante-id"] == str(delivery_id)
            assert (await deliveries.get(owner, endpoint.id, delivery_id)).attempts == 1
        finally:
            for process in processes:
                if process.returncode is None:
                    process.kill()
                await process.wait()
            await database.close()
