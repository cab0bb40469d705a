"""The whole product against the stand-in Graph: one number, and what the people whom it writes to see."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest_asyncio
from pydantic import SecretStr

from berrante.app import Application
from berrante.fakes.graph import FakeGraph
from berrante.gateways.protocol import Content, TextContent
from berrante.messaging.messages import Message
from berrante.store.encryption import new_key
from berrante.web.app import create_app
from tests.app.process import settings_for
from tests.cloud.rules import CONTACT, NUMBER, TOKEN
from tests.cloud.serving import served
from tests.waiting import until


@dataclass(kw_only=True)
class Shop:
    """One number of the product, and the Graph that it speaks to."""

    application: Application
    fake: FakeGraph
    organization_id: UUID

    async def send(self, content: Content | None = None, to: str = f"+{CONTACT}") -> UUID:
        return await self.application.outbound.send(
            organization_id=self.organization_id,
            instance_id="shop",
            to=to,
            content=content or TextContent(body="Hello"),
        )

    async def message(self, message_id: UUID) -> Message:
        message = await self.application.messages.get(self.organization_id, message_id)
        assert message is not None
        return message

    async def until(self, message_id: UUID, status: str) -> Message:
        async def has_it() -> Message | None:
            message = await self.message(message_id)
            return message if message.status.value == status else None

        found = await until(has_it, timeout_s=30)
        assert found is not None
        return found

    async def incoming(self, count: int) -> list[Message]:
        async def all_of_them() -> list[Message]:
            listed = await self.application.messages.list(self.organization_id, limit=200)
            found = [message for message in reversed(listed) if message.direction == "in"]
            return found if len(found) >= count else []

        return await until(all_of_them, timeout_s=30)

    def seen(self, contact: str = CONTACT) -> list[Any]:
        return self.fake.world.seen(NUMBER, contact)

    def data(self, message_id: UUID) -> dict[str, str]:
        return {
            "organizationId": str(self.organization_id),
            "instanceId": "shop",
            "messageId": str(message_id),
        }


@pytest_asyncio.fixture
async def shop(redis_url: str, database_url: str, prefix: str, tmp_path: Path, fake: FakeGraph) -> AsyncIterator[Shop]:
    settings = settings_for(
        redis_url=redis_url,
        database_url=database_url,
        prefix=prefix,
        media_dir=tmp_path / "media",
        encryption_key=SecretStr(new_key()),
    )
    quick = settings.message.model_copy(update={"backoff_delay_ms": 20, "attempts": 30})
    settings = settings.model_copy(
        update={"message": quick, "outbound": settings.outbound.model_copy(update={"backoff_delay_ms": 20})}
    )
    async with (
        Application.open(settings, latency_ms=5) as application,
        served(fake.app) as graph_url,
        served(create_app(application)) as web_url,
    ):
        organization = await application.organizations.create("Acme")
        await application.instances.create(
            organization_id=organization.id,
            id="shop",
            gateway="cloud",
            phone_number_id=NUMBER,
            app_secret="app-secret",
            verify_token="verify",
        )
        await application.cloud_numbers.connect(
            organization_id=organization.id,
            instance_id="shop",
            access_token=TOKEN,
            base_url=graph_url,
            business_account_id="9000",
        )
        fake.webhooks.url = f"{web_url}/webhooks/whatsapp/shop"
        async with fake.delivering():
            yield Shop(application=application, fake=fake, organization_id=organization.id)


async def wrote(shop: Shop, *, contacts: int = 1) -> None:
    """Let contacts write, so that they may be answered, and wait until that is known."""
    for number in range(contacts):
        shop.fake.write(NUMBER, sender=str(int(CONTACT) + number), text="Oi", name="Ana")
    await shop.incoming(contacts)
