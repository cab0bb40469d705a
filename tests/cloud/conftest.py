"""A stand-in Graph on loopback, and a gateway that speaks to it."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio

from berrante.fakes.graph import FakeGraph
from berrante.gateways.cloud import CloudGateway, CloudNumber, Graph
from berrante.gateways.media import FolderMediaStore
from berrante.gateways.protocol import Content, OutboundMessage, TextContent
from tests.cloud.serving import served

ORGANIZATION = UUID(int=7)
NUMBER = "106540352242922"
TOKEN = "EAAtoken"
CONTACT = "5511999990001"


@pytest.fixture
def fake() -> FakeGraph:
    fake = FakeGraph(app_secret="app-secret")
    fake.add_number(NUMBER, token=TOKEN)
    return fake


@pytest_asyncio.fixture
async def graph_url(fake: FakeGraph) -> AsyncIterator[str]:
    async with served(fake.app, fake.run()) as url:
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
