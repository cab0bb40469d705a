"""The whole product on one number of each gateway, with the contact on the other side, who keeps what was seen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from pydantic import SecretStr

from berrante.app import Application
from berrante.fakes.graph import FakeGraph, Fault
from berrante.gateways.baileys.installation import Installed
from berrante.gateways.protocol import Action, InDoubt, Receipt, ReceiptStatus, Scope, SendError
from berrante.messaging.messages import Message
from berrante.settings import BaileysSettings, Settings
from berrante.store.encryption import new_key
from berrante.web.app import create_app
from tests.app.process import settings_for, working
from tests.cloud.serving import served
from tests.connections.tls import certificates
from tests.gateways.baileys.fake_whatsapp import NUMBER, fake_whatsapp
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp as Web
from tests.gateways.baileys.sidecar import TOKEN, Sidecar, sidecar

CONTACT = "5511999990001"
PHONE_NUMBER_ID = "106540352242922"
BASE = {"instance_id": "shop"}


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What a world is built on."""

    redis_url: str
    database_url: str
    prefix: str
    folder: Path

    def settings(self, **more: Any) -> Settings:
        given = {"redis_url": self.redis_url, "database_url": self.database_url, "prefix": self.prefix}
        settings = settings_for(**given, data_dir=self.folder, encryption_key=SecretStr(new_key()), **more)
        quick = settings.message.model_copy(update={"backoff_delay_ms": 20, "attempts": 30})
        return settings.model_copy(update={"message": quick})


class World(Protocol):
    """One number and its contact."""

    application: Application
    organization_id: UUID

    async def write(self, text: str, *, copies: int = 1) -> None:
        """Let the contact write; what it wrote is delivered so many times."""
        ...

    async def screen(self) -> list[str]:
        """Return what the contact saw: a message that came twice stands there twice, unless a phone shows it once."""
        ...

    async def refuse(self) -> None:
        """Let WhatsApp refuse the next message for good."""
        ...

    async def hold(self) -> None:
        """Let WhatsApp refuse the next message for a moment, for no fault of the message."""
        ...

    async def lose_answer(self) -> None:
        """Let the contact see the next message, and the link break before WhatsApp's answer."""
        ...

    async def tell(self, message: Message, *statuses: str) -> None:
        """Let the contact's phone tell these of a message, in this order."""
        ...

    async def kill(self) -> None:
        """End what stands between us and WhatsApp without a word, if anything does."""
        ...


@dataclass(kw_only=True)
class Simulated:
    application: Application
    organization_id: UUID

    async def write(self, text: str, *, copies: int = 1) -> None:
        number = {"organization_id": self.organization_id} | BASE
        written = self.application.simulator.write(**number, sender=f"+{CONTACT}", text=text)
        for _ in range(copies - 1):
            await self.application.intake([written])

    async def screen(self) -> list[str]:
        seen = self.application.simulator.ledger.get(("shop", f"+{CONTACT}"), [])
        return [each.body for each in seen]

    async def refuse(self) -> None:
        error = SendError("no", scope=Scope.MESSAGE, action=Action.DROP, code="131051")
        self.application.simulator.fail_next(error)

    async def hold(self) -> None:
        error = SendError("slow", scope=Scope.NUMBER, action=Action.HOLD, code="130429", retry_after_ms=100)
        self.application.simulator.fail_next(error)

    async def lose_answer(self) -> None:
        self.application.simulator.fail_next(InDoubt("no answer"), shown=True)

    async def tell(self, message: Message, *statuses: str) -> None:
        for status in statuses:
            receipt = Receipt(
                organization_id=self.organization_id,
                instance_id="shop",
                message_id=message.wire_id or "",
                status=ReceiptStatus(status),
                at_ms=self.application.connection.now_ms(),
            )
            await self.application.intake([receipt])

    async def kill(self) -> None:
        """The simulator is in our own process."""


@dataclass(kw_only=True)
class Cloud:
    application: Application
    organization_id: UUID
    fake: FakeGraph

    async def write(self, text: str, *, copies: int = 1) -> None:
        self.fake.webhooks.manners.repeat = copies
        self.fake.write(PHONE_NUMBER_ID, sender=CONTACT, text=text)

    async def screen(self) -> list[str]:
        return [each.content["body"] for each in self.fake.world.seen(PHONE_NUMBER_ID, CONTACT)]

    async def refuse(self) -> None:
        self.fake.fail_next(131051)

    async def hold(self) -> None:
        self.fake.fail_next(130429)

    async def lose_answer(self) -> None:
        self.fake.break_next(Fault.LOST_ANSWER)

    async def tell(self, message: Message, *statuses: str) -> None:
        for status in statuses:
            self.fake.status(
                PHONE_NUMBER_ID,
                id=message.provider_id,
                status=status,
                timestamp=str(self.fake.world.clock() // 1_000),
                recipient_id=CONTACT,
            )

    async def kill(self) -> None:
        """Nothing of ours stands between us and Meta."""


@dataclass(kw_only=True)
class Baileys:
    application: Application
    organization_id: UUID
    whatsapp: Web
    made: Sidecar

    async def write(self, text: str, *, copies: int = 1) -> None:
        await self.whatsapp.write(CONTACT, text, copies=copies)

    async def screen(self) -> list[str]:
        return await self.whatsapp.texts(CONTACT)

    async def refuse(self) -> None:
        await self.whatsapp.fault("refuse", code="400")

    async def hold(self) -> None:
        await self.whatsapp.fault("drop_before")

    async def lose_answer(self) -> None:
        await self.whatsapp.fault("drop_after")

    async def tell(self, message: Message, *statuses: str) -> None:
        for status in statuses:
            kind = {"read": {"type": "read"}}.get(status, {})
            await self.whatsapp.order("tell", user=NUMBER, id=message.wire_id, **{"from": CONTACT}, **kind)

    async def kill(self) -> None:
        await self.made.kill()
        await self.made.ready()


@asynccontextmanager
async def simulated(engines: Engines) -> AsyncIterator[World]:
    async with Application.open(engines.settings(), latency_ms=5) as application, working(application):
        organization = await application.organizations.create("Acme")
        await application.instances.create(organization_id=organization.id, id="shop")
        yield Simulated(application=application, organization_id=organization.id)


@asynccontextmanager
async def cloud(engines: Engines) -> AsyncIterator[World]:
    fake = FakeGraph(app_secret="app-secret")
    fake.add_number(PHONE_NUMBER_ID, token="EAAtoken")
    async with (
        Application.open(engines.settings()) as application,
        served(fake.app) as graph_url,
        served(create_app(application)) as web_url,
        working(application),
    ):
        organization = await application.organizations.create("Acme")
        secrets = {"app_secret": "app-secret", "verify_token": "verify", "phone_number_id": PHONE_NUMBER_ID}
        await application.instances.create(organization_id=organization.id, id="shop", gateway="cloud", **secrets)
        await application.cloud_numbers.connect(
            organization_id=organization.id, instance_id="shop", access_token="EAAtoken", base_url=graph_url
        )
        fake.webhooks.url = f"{web_url}/webhooks/whatsapp/shop"
        async with fake.delivering():
            yield Cloud(application=application, organization_id=organization.id, fake=fake)


@asynccontextmanager
async def baileys(engines: Engines, installed: Installed) -> AsyncIterator[World]:
    given = {"redis_url": engines.redis_url, "database_url": engines.database_url, "prefix": engines.prefix}
    async with (
        fake_whatsapp(installed.node, certificates(engines.folder / "tls")) as whatsapp,
        sidecar(installed, whatsapp, **given, data_dir=engines.folder) as made,
        Application.open(
            engines.settings(baileys=BaileysSettings(urls=made.url, token=SecretStr(TOKEN)))
        ) as application,
        working(application),
    ):
        await whatsapp.contacts(CONTACT)
        organization = await application.organizations.create("Acme")
        await application.instances.create(organization_id=organization.id, id="shop", gateway="baileys")
        await made.sidecars.connect("shop", organization_id=organization.id)
        async with asyncio.timeout(60):
            async for status in made.sidecars.watch("shop"):
                if status.qr:
                    await whatsapp.scan(status.qr)
                if status.state == "open":
                    break
        yield Baileys(application=application, organization_id=organization.id, whatsapp=whatsapp, made=made)
