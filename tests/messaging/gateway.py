"""A gateway that answers what a test tells it to, and remembers what was sent."""

import asyncio
from collections import deque
from typing import ClassVar
from uuid import UUID

from berrante.gateways.protocol import Accepted, InDoubt, OutboundMessage, SendError


class ScriptedGateway:
    """Accepts everything unless ``answers`` holds an error or an event to wait for; one is used per send."""

    name: ClassVar[str] = "simulator"
    resend_is_safe: ClassVar[bool] = True

    def __init__(self) -> None:
        self.sent: list[OutboundMessage] = []
        self.answers: deque[SendError | InDoubt | Exception | asyncio.Event] = deque()
        self.entered = asyncio.Event()

    def wire_id(self, message_id: UUID) -> str:
        return f"wire-{message_id.hex}"

    async def send(self, message: OutboundMessage) -> Accepted:
        self.sent.append(message)
        self.entered.set()
        answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, asyncio.Event):
            await answer.wait()
        elif answer is not None:
            raise answer
        return Accepted(provider_id=f"provider-{message.wire_id}", accepted_at_ms=1_800_000_000_000)


class CautiousGateway(ScriptedGateway):
    """One that would show a message twice if it were sent twice, as the Cloud API does."""

    resend_is_safe: ClassVar[bool] = False
