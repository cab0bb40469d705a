"""A platform with one organization and one number, on real servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from berrante.engine import Connection
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.store import Database
from tests.messaging.gateway import ScriptedGateway
from tests.messaging.platform import Platform


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def platform(database: Database, connection: Connection, prefix: str) -> AsyncIterator[Platform]:
    organization = await Organizations(database).create("Acme")
    instance = await Instances(database).create(organization_id=organization.id, id="sales")
    platform = Platform(
        database=database,
        queues=open_queues(connection, prefix=prefix),
        prefix=prefix,
        organization=organization,
        instance=instance,
        gateway=ScriptedGateway(),
    )
    async with asyncio.timeout(60):
        yield platform
        await platform.stop()
