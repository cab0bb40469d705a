"""A number on Baileys, paired by QR with the fake, in front of the real queues and tables."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from berrante.engine import Connection
from berrante.gateways.baileys import BaileysError, install
from berrante.gateways.baileys.installation import Installed
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import open_queues
from berrante.store import Database
from tests.connections.tls import certificates
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp, fake_whatsapp
from tests.gateways.baileys.sidecar import Sidecar, sidecar
from tests.messaging.gateway import ScriptedGateway
from tests.messaging.platform import Platform

OpenSidecar = Callable[..., AbstractAsyncContextManager[Sidecar]]


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """The sidecar with its packages: a skip without a registry, a failure in CI."""
    try:
        return install(tmp_path_factory.mktemp("sidecar"))
    except BaileysError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))


@pytest_asyncio.fixture
async def whatsapp(installed: Installed, tmp_path: Path) -> AsyncIterator[FakeWhatsApp]:
    async with fake_whatsapp(installed.node, certificates(tmp_path / "tls")) as whatsapp:
        await whatsapp.contacts("5511999990001", "5511999990002")
        yield whatsapp


@pytest_asyncio.fixture
async def platform(connection: Connection, database_url: str, prefix: str) -> AsyncIterator[Platform]:
    """One organization whose number ``sales`` is on Baileys."""
    database = Database(database_url)
    organization = await Organizations(database).create("Feira")
    instance = await Instances(database).create(organization_id=organization.id, id="sales", gateway="baileys")
    platform = Platform(
        database=database,
        queues=open_queues(connection, prefix=prefix),
        prefix=prefix,
        organization=organization,
        instance=instance,
        gateway=ScriptedGateway(),
    )
    yield platform
    await platform.stop()
    await database.close()


@pytest.fixture
def open_sidecar(
    installed: Installed, whatsapp: FakeWhatsApp, redis_url: str, database_url: str, prefix: str, tmp_path: Path
) -> OpenSidecar:
    """Open a sidecar, with what the test sets."""

    @asynccontextmanager
    async def opened(**settings: object) -> AsyncIterator[Sidecar]:
        given = {"redis_url": redis_url, "database_url": database_url, "prefix": prefix}
        async with sidecar(installed, whatsapp, data_dir=tmp_path, **given, **settings) as made:
            yield made

    return opened


async def pair(made: Sidecar, whatsapp: FakeWhatsApp, platform: Platform) -> None:
    """Pair ``sales`` by QR, as a person does, and wait until it is open."""
    await made.sidecars.connect("sales", organization_id=platform.organization.id)
    async with asyncio.timeout(60):
        async for status in made.sidecars.watch("sales"):
            if status.state == "qr" and status.qr:
                await whatsapp.scan(status.qr)
            if status.state == "open":
                break


@pytest_asyncio.fixture
async def paired(open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform) -> AsyncIterator[Sidecar]:
    async with open_sidecar() as made:
        await pair(made, whatsapp, platform)
        yield made
