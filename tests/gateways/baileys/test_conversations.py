"""Real Baileys, paired with the fake: what contacts write comes in, and what we send they see."""

from typing import Any

import pytest

from berrante.gateways.protocol import OutboundMessage, TextContent
from berrante.messaging.messages import Message, MessageStatus
from berrante.messaging.queues import QueueName
from berrante.store import new_id
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.messaging.platform import Platform
from tests.waiting import until

ANA, BENTO = "5511999990001", "5511999990002"


def outgoing(platform: Platform, made: Sidecar, text: str = "Hello", to: str = ANA) -> OutboundMessage:
    message_id = new_id()
    return OutboundMessage(
        organization_id=platform.organization.id,
        instance_id="sales",
        message_id=message_id,
        wire_id=made.gateway.wire_id(message_id),
        to=f"+{to}",
        content=TextContent(body=text),
    )


async def incoming(platform: Platform, count: int) -> list[Message]:
    """Wait until so many messages are stored, and return them, the oldest first."""

    async def stored() -> list[Message]:
        found = [m for m in reversed(await platform.messages.list(platform.organization.id, 500)) if m.direction == "in"]
        return found if len(found) >= count else []

    return await until(stored, timeout_s=30)


async def test_a_contact_writes_and_an_automation_answers(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    await platform.automations.create(
        organization_id=platform.organization.id, name="Price", trigger="keyword", keywords=["preço"], reply="R$ 42"
    )
    platform.work(gateways={"baileys": paired.gateway})

    await whatsapp.write(ANA, "Qual é o preço?", name="Ana")

    async def is_read() -> bool:
        return [m.status for m in await platform.outgoing()] == [MessageStatus.READ]

    await until(is_read, timeout_s=30)
    assert await whatsapp.texts(ANA) == ["R$ 42"]
    (question,) = await incoming(platform, 1)
    assert (question.address, question.content) == (f"+{ANA}", {"type": "text", "text": "Qual é o preço?"})
