"""A chat of the world's number with one contact, as both see it."""

import itertools
from dataclasses import dataclass
from uuid import UUID

from berrante.gateways.protocol import Content, TextContent
from berrante.messaging.messages import Message
from berrante.messaging.outbound.jobs import send_id
from tests.gateways.contract.worlds import World
from tests.waiting import until

DONE = ("sent", "delivered", "read")
_numbers = itertools.count(5511999990001)


@dataclass(frozen=True, kw_only=True)
class Chat:
    """Nobody else's chat: what is in it, the test put there."""

    world: World
    contact: str

    async def write(self, text: str, *, copies: int = 1) -> None:
        await self.world.write(self.contact, text, copies=copies)

    async def send(self, *given: str | Content) -> list[UUID]:
        outbound = self.world.application.outbound
        number = {"organization_id": self.world.organization_id, "instance_id": "shop", "to": f"+{self.contact}"}
        contents = [TextContent(body=each) if isinstance(each, str) else each for each in given]
        return [await outbound.send(**number, content=content) for content in contents]

    async def message(self, message_id: UUID) -> Message:
        message = await self.world.application.messages.get(self.world.organization_id, message_id)
        assert message is not None
        return message

    async def settled(self, message_id: UUID, *statuses: str) -> Message:
        """Wait until a message has one of these statuses."""

        async def has_one() -> Message | str:
            message = await self.message(message_id)
            return message if message.status.value in statuses else ""

        found = await until(has_one, timeout_s=60)
        assert isinstance(found, Message)
        return found

    async def stopped(self, message_id: UUID, code: str) -> None:
        """Wait until a message was refused with the code, and rests or failed."""

        async def is_stopped() -> bool:
            message = await self.message(message_id)
            rest_ms = await self.world.application.queues.outbound.rest_ms(send_id(message_id))
            lane = await self.world.application.queues.outbound.groups.stats("shop")
            return message.failure_code == code and (
                message.status.value == "failed" or bool(rest_ms) or lane.next_ms is not None
            )

        await until(is_stopped, timeout_s=60)

    async def incoming(self, count: int) -> list[str]:
        """Wait until so many messages of the contact are stored, and return their texts, the oldest first."""

        async def stored() -> list[str]:
            listed = await self.world.application.messages.list(self.world.organization_id, 500)
            mine = [each for each in reversed(listed) if each.address == f"+{self.contact}"]
            texts = [each.content["text"] for each in mine if each.direction == "in"]
            return texts if len(texts) >= count else []

        return await until(stored, timeout_s=60)

    async def screen(self) -> list[str]:
        """Return what the contact saw: a message that came twice stands there twice, unless a phone shows it once."""
        return await self.world.screen(self.contact)


async def new_chat(world: World, *, stranger: bool = False) -> Chat:
    """Have a contact, who wrote once, so that it may be answered on every gateway; a ``stranger`` did not."""
    chat = Chat(world=world, contact=str(next(_numbers)))
    await world.meet(chat.contact)
    if not stranger:
        await chat.write("Hello")
        await chat.incoming(1)
    return chat
