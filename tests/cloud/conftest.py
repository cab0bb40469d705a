"""A stand-in Graph on loopback, and a gateway that speaks to it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from berrante.engine import Connection
from berrante.fakes.graph import FakeGraph
from berrante.gateways.cloud import CloudGateway, CloudNumber, Graph
from berrante.gateways.media import FolderMediaStore
from berrante.gateways.protocol import Content, OutboundMessage, TextContent
from berrante.messaging.instances import Instance
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.store import Database
from tests.cloud.rules import CIPHER, CONTACT, NUMBER, TOKEN, ScriptedCloud, cloud_number
from tests.cloud.serving import served
from tests.cloud.shop import shop
from tests.messaging.platform import Platform

ORGANIZATION = UUID(int=7)
__all__ = ["CONTACT", "NUMBER", "ORGANIZATION", "TOKEN", "shop"]


@pytest.fixture
def fake() -> FakeGraph:
    fake = FakeGraph(app_secret="app-secret")
    fake.add_number(NUMBER, token=TOKEN)
    return fake


@pytest_asyncio.fixture
async def graph_url(fake: FakeGraph) -> AsyncIterator[str]:
    async with served(fake.app) as url, fake.delivering():
        yield url


@pytest.fixture
def store(tmp_path: Path) -> FolderMediaStore:
    return FolderMediaStore(tmp_path / "media")


@pytest_asyncio.fixture
async def gateway(graph_url: str, store: FolderMediaStore) -> AsyncIterator[CloudGateway]:
    async def credentials(*, organization_id: UUID, instance_id: str) -> CloudNumber | None:
        if (organization_id, instance_id) != (ORGANIZATION, "shop"):
            return None
        return CloudNumber(phone_number_id=NUMBER, access_token=TOKEN, base_url=graph_url)

    gateway = CloudGateway(credentials, store, graph=Graph())
    yield gateway
    await gateway.close()


@pytest.fixture
def message() -> Callable[..., OutboundMessage]:
    def make(content: Content | None = None, *, to: str = f"+{CONTACT}", instance: str = "shop", number: int = 1):
        return OutboundMessage(
            organization_id=ORGANIZATION,
            instance_id=instance,
            message_id=UUID(int=number),
            wire_id=f"BRT{number:032X}",
            to=to,
            content=content or TextContent(body="Hello"),
        )

    return make


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, cipher=CIPHER)
    yield database
    await database.close()


@pytest_asyncio.fixture
async def platform(database: Database, connection: Connection, prefix: str) -> AsyncIterator[Platform]:
    """A platform whose number ``shop`` is one of the Cloud API, behind a gateway that answers to order."""
    organization = await Organizations(database).create("Acme")
    platform = Platform(
        database=database,
        queues=open_queues(connection, prefix=prefix),
        prefix=prefix,
        organization=organization,
        instance=Instance(id="shop", organization_id=organization.id, gateway="cloud", created_at=datetime.now(tz=UTC)),
        gateway=ScriptedCloud(),
    )
    await cloud_number(platform)
    async with asyncio.timeout(60):
        yield platform
        await platform.stop()
