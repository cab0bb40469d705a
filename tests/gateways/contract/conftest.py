"""One world of each gateway for all tests of a module: every test has chats of its own in it."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from berrante.embedded import EmbeddedPostgres
from berrante.gateways.baileys.installation import Installed
from tests.conftest import fresh_database
from tests.gateways.baileys.conftest import installed
from tests.gateways.contract.engines import Engines
from tests.gateways.contract.worlds import World, baileys, cloud, simulated

__all__ = ["installed"]
GATEWAYS = ("simulator", "cloud", "baileys")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engines(
    redis_url: str, postgres: EmbeddedPostgres, migrated_template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Callable[[], Awaitable[Engines]]]:
    """Makes engines that belong to one world."""
    async with AsyncExitStack() as stack:

        async def made() -> Engines:
            return Engines(
                redis_url=redis_url,
                database_url=await stack.enter_async_context(fresh_database(postgres, migrated_template)),
                prefix=f"t{secrets.token_hex(6)}",
                folder=tmp_path_factory.mktemp("world"),
            )

        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def simulator_world(engines: Callable[[], Awaitable[Engines]]) -> AsyncIterator[World]:
    async with simulated(await engines()) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cloud_world(engines: Callable[[], Awaitable[Engines]]) -> AsyncIterator[World]:
    async with cloud(await engines()) as world:
        yield world


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def baileys_world(engines: Callable[[], Awaitable[Engines]], installed: Installed) -> AsyncIterator[World]:
    async with baileys(await engines(), installed) as world:
        yield world


@pytest.fixture(params=GATEWAYS)
def opened(request: pytest.FixtureRequest) -> World:
    """One number on the gateway that the test is about; asked for by name, it lives as long as the module."""
    world: World = request.getfixturevalue(f"{request.param}_world")
    return world


@pytest_asyncio.fixture(loop_scope="module")
async def world(opened: World) -> AsyncIterator[World]:
    """The number; whatever the test had go wrong with it is over afterwards."""
    yield opened
    await opened.recover()
