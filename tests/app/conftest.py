from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from berrante.app import Application
from berrante.settings import Settings
from tests.app.process import settings_for


@pytest.fixture
def settings(redis_url: str, database_url: str, prefix: str) -> Settings:
    return settings_for(redis_url=redis_url, database_url=database_url, prefix=prefix)


@pytest_asyncio.fixture
async def application(settings: Settings) -> AsyncIterator[Application]:
    async with Application.open(settings, latency_ms=5) as application:
        yield application
