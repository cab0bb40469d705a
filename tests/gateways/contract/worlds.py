"""The whole product on one number of each gateway, with contacts on the other side, who keep what they saw."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from pydantic import SecretStr

from berrante.app import Application
from berrante.fakes.graph import FakeGraph, Fault
from berrante.gateways.baileys.installation import Installed
from berrante.gateways.protocol import InDoubt, Receipt, ReceiptStatus
from berrante.gateways.refusals import refusal
from berrante.messaging.messages import Message
from berrante.settings import BaileysSettings
from berrante.web.app import create_app
from tests.app.process import working
from tests.cloud.serving import served
from tests.connections.tls import certificates
from tests.gateways.baileys.fake_whatsapp import NUMBER, fake_whatsapp
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp as Web
from tests.gateways.baileys.sidecar import TOKEN, Sidecar, sidecar
from tests.gateways.contract.engines import Engines
from tests.waiting import until

PHONE_NUMBER_ID = "106540352242922"
BASE = {"instance_id": "shop"}
#: Another number of the account; it never sends.
KIOSK = "kiosk"
#: By which close code WhatsApp puts a number into a state that it does not leave by itself.
CLOSED = {"elsewhere": 440, "logged_out": 401, "banned": 403}
#: For how long strangers may not be written to, at least a second of it.
LOCKED_S = 2


class World(Protocol):
    """One number and its contacts, who are named by their digits."""

    name: str
    application: Application
    organization_id: UUID

    async def meet(self, contact: str) -> None:
        """Have a person with WhatsApp."""
        ...

    async def write(self, contact: str, text: str, *, copies: int = 1) -> None:
        """Let a contact write; what it wrote is delivered so many times."""
        ...

    async def screen(self, contact: str) -> list[str]:
        """Return what the contact saw: a message that came twice stands there twice, unless a phone shows it once."""
        ...

    async def refuse(self, code: str, *, to: str, count: int = 1) -> None:
        """Let WhatsApp refuse the next messages to the contact with this code, or whatever the gateway names so."""
        ...

    async def lose_answer(self, to: str) -> None:
        """Let the contact see the next message, and the link break before WhatsApp's answer."""
        ...

    async def recover(self) -> None:
        """End whatever goes wrong: what was ordered, and what rests because of it."""
        ...

    async def tell(self, contact: str, message: Message, *statuses: str) -> None:
        """Let the contact's phone tell these of a message, in this order."""
        ...

    async def kill(self) -> None:
        """End what stands between us and WhatsApp without a word, if anything does."""
        ...


async def ended(application: Application, organization_id: UUID) -> None:
    """End all holds of the number, as a person does who mended their cause, and wake what rests for less long."""
    await application.cloud_numbers.release(organization_id, "shop")
    await application.waker.wake(organization_id, ["shop"])


@dataclass(kw_only=True)
class Simulated:
    application: Application
    organization_id: UUID
    name: str = "simulator"

    async def meet(self, contact: str) -> None:
        """Everybody has WhatsApp."""

    async def write(self, contact: str, text: str, *, copies: int = 1) -> None:
        number = {"organization_id": self.organization_id} | BASE
        written = self.application.simulator.write(**number, sender=f"+{contact}", text=text)
        for _ in range(copies - 1):
            await self.application.intake([written])

    async def screen(self, contact: str) -> list[str]:
        return [each.body for each in self.application.simulator.ledger.get(("shop", f"+{contact}"), [])]

    async def refuse(self, code: str, *, to: str, count: int = 1) -> None:
        self.application.simulator.fail_next(refusal(code), count, to=f"+{to}")

    async def lose_answer(self, to: str) -> None:
        self.application.simulator.fail_next(InDoubt("no answer"), to=f"+{to}", shown=True)

    async def recover(self) -> None:
        self.application.simulator.recover()
        await ended(self.application, self.organization_id)

    async def tell(self, contact: str, message: Message, *statuses: str) -> None:
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
    name: str = "cloud"

    async def meet(self, contact: str) -> None:
        """Everybody has WhatsApp."""

    async def write(self, contact: str, text: str, *, copies: int = 1) -> None:
        self.fake.webhooks.manners.repeat = copies
        self.fake.write(PHONE_NUMBER_ID, sender=contact, text=text)

    async def screen(self, contact: str) -> list[str]:
        seen = [each.content for each in self.fake.world.seen(PHONE_NUMBER_ID, contact)]
        return [content.get("body") or content["name"] for content in seen]

    async def refuse(self, code: str, *, to: str, count: int = 1) -> None:
        self.fake.fail_next(int(code), count, to=to)

    async def lose_answer(self, to: str) -> None:
        self.fake.break_next(Fault.LOST_ANSWER, to=to)

    async def recover(self) -> None:
        self.fake.orders.clear()
        await ended(self.application, self.organization_id)

    async def tell(self, contact: str, message: Message, *statuses: str) -> None:
        for status in statuses:
            self.fake.status(
                PHONE_NUMBER_ID,
                id=message.provider_id,
                status=status,
                timestamp=str(self.fake.world.clock() // 1_000),
                recipient_id=contact,
            )

    async def kill(self) -> None:
        """Nothing of ours stands between us and Meta."""


@dataclass(kw_only=True)
class Baileys:
    application: Application
    organization_id: UUID
    whatsapp: Web
    made: Sidecar
    name: str = "baileys"

    async def meet(self, contact: str) -> None:
        await self.whatsapp.contacts(contact)

    async def write(self, contact: str, text: str, *, copies: int = 1) -> None:
        await self.whatsapp.write(contact, text, copies=copies)

    async def screen(self, contact: str) -> list[str]:
        return await self.whatsapp.texts(contact)

    async def refuse(self, code: str, *, to: str, count: int = 1) -> None:
        match code:
            case "elsewhere" | "logged_out" | "banned":
                await self.whatsapp.order("close", user=NUMBER, code=CLOSED[code])
                await self.made.until_state(code, "shop")
            case "new_chats_stopped":
                await self._lock(is_active=True, time_enforcement_ends=str(int(time.time()) + LOCKED_S))
            case "link_dropped":
                await self.whatsapp.fault("drop_before", contact=to)
            case "not_on_whatsapp":
                await self.whatsapp.fault(code, contact=to, count=count)
            case _:
                await self.whatsapp.fault("refuse", code=code, contact=to, count=count)

    async def lose_answer(self, to: str) -> None:
        await self.whatsapp.fault("drop_after", contact=to)

    async def recover(self) -> None:
        await self.whatsapp.order("recover")
        status = await self.made.sidecars.status("shop")
        if status.new_chats and status.new_chats["stopped"]:
            await self._lock(is_active=False)
        if status.state in CLOSED:
            await self.connect()
        await ended(self.application, self.organization_id)

    async def tell(self, contact: str, message: Message, *statuses: str) -> None:
        for status in statuses:
            if status == "sent":
                continue  # of that only the server tells, in its answer
            kind = {"read": {"type": "read"}}.get(status, {})
            await self.whatsapp.order("tell", user=NUMBER, id=message.wire_id, **{"from": contact}, **kind)

    async def kill(self) -> None:
        await self.made.kill()
        await self.made.ready()

    async def connect(self) -> None:
        """Connect the number, or pair it if nothing opens it any more, and wait until it is open."""
        await self.made.sidecars.connect("shop", organization_id=self.organization_id)
        async with asyncio.timeout(60):
            async for status in self.made.sidecars.watch("shop"):
                if status.qr:
                    await self.whatsapp.scan(status.qr)
                if status.state == "open":
                    break

    async def _lock(self, **said: Any) -> None:
        """Let WhatsApp say that strangers may, or may not, be written to, and wait until the number knows."""
        op, name = "NotificationUserReachoutTimelockUpdate", "xwa2_notify_account_reachout_timelock"
        await self.whatsapp.order("notify", user=NUMBER, op=op, data={name: said})

        async def is_told() -> bool:
            told = (await self.made.sidecars.status("shop")).new_chats
            return told is not None and told["stopped"] is said["is_active"]

        await until(is_told, timeout_s=20)


@asynccontextmanager
async def simulated(engines: Engines, *, works: bool = True) -> AsyncIterator[Simulated]:
    """Open one; without ``works`` others have to do the work."""
    async with (
        Application.open(engines.settings(), latency_ms=5) as application,
        working(application) if works else nullcontext(),
    ):
        organization = await application.organizations.create("Acme")
        await application.instances.create(organization_id=organization.id, id="shop")
        yield Simulated(application=application, organization_id=organization.id)


@asynccontextmanager
async def cloud(engines: Engines, *, works: bool = True) -> AsyncIterator[Cloud]:
    """Open one; without ``works`` others have to do the work."""
    fake = FakeGraph(app_secret="app-secret")
    fake.add_number(PHONE_NUMBER_ID, token="EAAtoken")
    async with (
        Application.open(engines.settings()) as application,
        served(fake.app) as graph_url,
        served(create_app(application)) as web_url,
        working(application) if works else nullcontext(),
    ):
        organization = await application.organizations.create("Acme")
        account = {"access_token": "EAAtoken", "base_url": graph_url, "business_account_id": "102290129340398"}
        for number in ("shop", KIOSK):
            secrets = {"app_secret": "app-secret", "verify_token": "verify"}
            secrets["phone_number_id"] = PHONE_NUMBER_ID if number == "shop" else "106540352242923"
            of = {"organization_id": organization.id}
            await application.instances.create(**of, id=number, gateway="cloud", **secrets)
            await application.cloud_numbers.connect(**of, instance_id=number, **account)
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
        organization = await application.organizations.create("Acme")
        await application.instances.create(organization_id=organization.id, id="shop", gateway="baileys")
        world = Baileys(application=application, organization_id=organization.id, whatsapp=whatsapp, made=made)
        await world.connect()
        yield world
