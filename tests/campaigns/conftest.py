from collections.abc import AsyncIterator

import pytest_asyncio

from berrante.engine import Connection
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.store import Database
from tests.app.conftest import application, settings
from tests.messaging.conftest import database, platform
from tests.messaging.gateway import ScriptedGateway
from tests.messaging.platform import Platform

__all__ = ["application", "database", "platform", "settings"]


@pytest_asyncio.fixture
async def unhurried_platform(database: Database, connection: Connection, prefix: str) -> AsyncIterator[Platform]:
    """The platform, for a test that takes longer than its usual minute."""
    organization = await Organizations(database).create("Acme")
    instance = await Instances(database).create(organization_id=organization.id, id="sales")
    yield Platform(
        database=database,
        queues=open_queues(connection, prefix=prefix),
        prefix=prefix,
        organization=organization,
        instance=instance,
        gateway=ScriptedGateway(),
    )
