"""A database that goes away: jobs wait for it and lose no attempt."""

import asyncio

import pytest

from berrante.engine import Batch, Connection, State, Worker, WorkerOptions
from berrante.engine.notices import JobFailed, JobRetried, JobSnoozed, Notice
from berrante.messaging import outage
from berrante.messaging.handlers import batch_handlers
from berrante.messaging.instances import Instances
from berrante.messaging.messages import Messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName, open_queues
from berrante.store import Database, migrate
from tests.conftest import OwnServer
from tests.messaging.platform import NOW_MS
from tests.waiting import until


async def test_messages_wait_for_a_database_that_was_killed(
    own_postgres: OwnServer, connection: Connection, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outage, "RETRY_MS", 20)
    await migrate(own_postgres.url)
    database = Database(own_postgres.url)
    organization = await Organizations(database).create("Acme")
    await Instances(database).create(organization_id=organization.id, id="sales")
    queues = open_queues(connection, prefix=prefix)
    notices: list[Notice] = []
    handler = batch_handlers(database=database, queues=queues, gateways={})[QueueName.MESSAGE]
    options = WorkerOptions(batch=Batch(size=10))
    worker = Worker("message", handler, connection, options, prefix=prefix, listener=notices.append)
    running = asyncio.create_task(worker.run())

    await own_postgres.kill()
    data = {
        "organizationId": str(organization.id),
        "instanceId": "sales",
        "from": "5511999990001",
        "content": "Oi",
        "messageId": "m1",
        "sentAt": NOW_MS,
    }
    job = await queues.message.add("incoming", data)
    await until(lambda: sum(isinstance(notice, JobSnoozed) for notice in notices) > 4)
    await own_postgres.start()

    async def is_completed() -> bool:
        return await queues.message.state(job.id) is State.COMPLETED

    await until(is_completed, timeout_s=30)
    await worker.stop(1_000)
    await running
    assert not [notice for notice in notices if isinstance(notice, JobFailed | JobRetried)]
    assert len(await Messages(database).list(organization.id)) == 1
    await database.close()
