"""The gateway of the simulated WhatsApp."""

import asyncio
import itertools
import math
import random
import re
from typing import ClassVar, Final
from uuid import UUID

from berrante.gateways.protocol import (
    Accepted,
    Action,
    Event,
    EventSink,
    IncomingMessage,
    InDoubt,
    OutboundMessage,
    Receipt,
    ReceiptStatus,
    Scope,
    SendError,
    shown,
)
from berrante.gateways.simulator.chatter import Chatter, Conversation, written
from berrante.gateways.simulator.contacts import UNREACHABLE, Habits, Latency, chance, draw, fate
from berrante.gateways.simulator.ledger import Ledger, Seen
from berrante.gateways.simulator.post import Post
from berrante.gateways.simulator.refusals import InjectedFailures, refusal
from berrante.gateways.simulator.timing import Clock, Sleep, wall_clock, wall_sleep

#: A number, a business-scoped user id, or a hidden number.
_ADDRESS: Final = re.compile(r"\+[1-9]\d{0,14}|[A-Z]{2}\.[A-Za-z0-9.]{1,128}|\d{5,25}@lid")
_MOST_RECEIPTS: Final = 3  # sent, delivered, read
_EVENTS_KEPT: Final = 200_000
_MARKS_KEPT: Final = 10_000


class Simulator:
    """A WhatsApp in memory, with contacts that get, read and write messages.

    What a contact saw is in ``ledger``. Receipts, and what contacts write, reach the sink while ``run()`` runs (or
    when ``deliver_due()`` is called); what the sink does not take is kept and offered again. Beyond ``events_kept``
    events that wait, sends are refused (number, hold) rather than receipts lost.

    ``latency_ms`` is a ``Latency``, or one number: each receipt follows the step before by exactly that.
    The same ``seed`` makes the same contacts never read, and the same message as slow, in every run.
    """

    name: ClassVar[str] = "simulator"
    resend_is_safe: ClassVar[bool] = True

    def __init__(
        self,
        sink: EventSink,
        *,
        seed: int = 0,
        clock: Clock = wall_clock,
        sleep: Sleep = wall_sleep,
        latency_ms: Latency | int | None = None,
        habits: Habits | None = None,
        chatter: tuple[Chatter, ...] = (),
        ledger: Ledger | None = None,
        events_kept: int = _EVENTS_KEPT,
    ) -> None:
        self.ledger = Ledger() if ledger is None else ledger
        self._seed = seed
        self._clock = clock
        self._sleep = sleep
        self._latency = Latency.every(latency_ms) if isinstance(latency_ms, int) else latency_ms or Latency()
        self._habits = habits or Habits()
        self._failures = InjectedFailures()
        self._post = Post(sink, clock=clock, limit=events_kept)
        self._conversations: list[Conversation] = []
        self._written = itertools.count()
        #: Contacts' messages that were marked as read, and whether typing was shown with it, by number and id.
        self.marked_read: dict[tuple[str, str], bool] = {}
        self._wake = asyncio.Event()
        self._resting_until_ms: float = math.inf  # an event that is due earlier wakes the loop
        for each in chatter:
            self.start_chatter(each)

    @property
    def pending(self) -> int:
        """How many events wait for their time or for the sink."""
        return len(self._post)

    def wire_id(self, message_id: UUID) -> str:
        """Return ``SIM`` and the row id in hexadecimal.

        >>> async def sink(events): ...
        >>> Simulator(sink).wire_id(UUID("018f0000-0000-7000-8000-00000000000a"))
        'SIM018F000000007000800000000000000A'
        """
        return f"SIM{message_id.hex.upper()}"

    async def send(self, message: OutboundMessage) -> Accepted:
        """Show the contact the message, once per wire id; its receipts follow, and carry the wire id.

        Sending a wire id again answers as the first time and shows nothing. Raises what ``fail_next`` ordered, and
        refuses, as WhatsApp does, an address that cannot be.
        """
        luck = chance(self._seed, message.instance_id, message.to, message.wire_id)
        accept_ms = draw(self._latency.accept, luck)
        if accept_ms:
            await self._sleep(accept_ms)
        failure = self._failures.take(message.to)
        if failure is None:
            return self._accept(message, luck)
        error, shown = failure
        if shown:
            self._accept(message, luck)
        raise error

    def fail_next(
        self, error: SendError | InDoubt, count: int = 1, to: str | None = None, *, shown: bool = False
    ) -> None:
        """Let the next ``count`` sends (to that contact, if given) raise the error; orders are used up one by one.

        ``shown`` is for ``InDoubt``: the contact gets the message and only WhatsApp's answer is lost. See ``refusal``
        for WhatsApp's own errors by code.
        """
        self._failures.order(error, count, to=to, shown=shown)

    def recover(self) -> None:
        """Forget all failures that were ordered and not used up."""
        self._failures.clear()

    def write(
        self, *, organization_id: UUID, instance_id: str, sender: str, text: str, sender_name: str | None = None
    ) -> IncomingMessage:
        """Let a contact write now; the message goes to the sink as all events do, and is returned.

        Raises ``PostFull`` while too many events wait.
        """
        message = written(
            organization_id=organization_id,
            instance_id=instance_id,
            sender=sender,
            text=text,
            sender_name=sender_name,
            sent_at_ms=self._clock(),
            number=next(self._written),
        )
        self._put(message, message.sent_at_ms)
        return message

    async def mark_read(
        self,
        *,
        organization_id: UUID,  # noqa: ARG002  the protocol's
        instance_id: str,
        message_id: str,
        typing: bool = False,
    ) -> None:
        """Remember in ``marked_read`` that the contact was shown it."""
        self.marked_read[instance_id, message_id] = typing
        if len(self.marked_read) > _MARKS_KEPT:
            del self.marked_read[next(iter(self.marked_read))]

    def start_chatter(self, chatter: Chatter) -> None:
        """Let these contacts write from now on."""
        luck = chance(self._seed, "chatter", chatter.instance_id, str(len(self._conversations)))
        self._conversations.append(Conversation(chatter, luck, now_ms=self._clock()))
        self._wake.set()

    async def run(self) -> None:
        """Deliver until cancelled. Events that were on their way are kept, and delivered by the next ``run()``."""
        task = asyncio.current_task()
        while True:
            self._wake.clear()
            await self.deliver_due()
            if task is not None and task.cancelling():
                return  # the sink swallowed the cancellation, as Python 3.11's asyncio.wait_for may
            await self._rest()

    async def deliver_due(self) -> int:
        """Give the sink what is due by now; return how many events it took. Safe beside ``run()``."""
        now_ms = self._clock()
        for conversation in self._conversations:
            # With no room nobody writes: a contact's phone, too, waits for the network.
            if conversation.due_ms <= now_ms and self._post.has_room(1):
                self._post.put(conversation.write(now_ms), now_ms)
        return await self._post.hand_over()

    def _accept(self, message: OutboundMessage, luck: random.Random) -> Accepted:
        _check(message)
        chat = (message.instance_id, message.to)
        seen = self.ledger.find(chat, message.wire_id)
        if seen is None:
            if not self._post.has_room(_MOST_RECEIPTS):
                raise SendError(
                    f"{len(self._post)} events wait for the simulator's sink, more than it keeps",
                    scope=Scope.NUMBER,
                    action=Action.HOLD,
                    code="simulator_full",
                    retry_after_ms=self._post.retry_after_ms(),
                )
            now_ms = self._clock()
            seen = self.ledger.show(chat, _seen(message, now_ms))
            self._expect_receipts(message, luck, now_ms)
        return Accepted(provider_id=message.wire_id, accepted_at_ms=seen.at_ms)

    def _expect_receipts(self, message: OutboundMessage, luck: random.Random, now_ms: int) -> None:
        steps = fate(
            latency=self._latency,
            reads=self._habits.reads(self._seed, message.instance_id, message.to),
            unreachable=self._habits.is_unreachable(self._seed, message.instance_id, message.to),
            luck=luck,
        )
        for step in steps:
            failed = step.status is ReceiptStatus.FAILED
            receipt = Receipt(
                organization_id=message.organization_id,
                instance_id=message.instance_id,
                message_id=message.wire_id,
                status=step.status,
                at_ms=now_ms + step.after_ms,
                error_code=UNREACHABLE[0] if failed else None,
                error=UNREACHABLE[1] if failed else None,
            )
            self._put(receipt, receipt.at_ms)

    def _put(self, event: Event, due_ms: int) -> None:
        self._post.put(event, due_ms)
        if due_ms < self._resting_until_ms:
            self._wake.set()

    async def _rest(self) -> None:
        dues = [self._post.next_ms()]
        if self._post.has_room(1):
            dues += [conversation.due_ms for conversation in self._conversations]
        until_ms = min((due for due in dues if due is not None), default=None)
        if until_ms is None:
            await self._wake.wait()
            return
        self._resting_until_ms = until_ms
        # At least 1 ms, so that a clock that lags behind the sleep does not make the loop spin.
        alarm = asyncio.ensure_future(self._sleep(max(1, until_ms - self._clock())))
        bell = asyncio.ensure_future(self._wake.wait())
        try:
            rung, _ = await asyncio.wait({alarm, bell}, return_when=asyncio.FIRST_COMPLETED)
            if alarm in rung:
                alarm.result()  # a sleep that raised must not go unheard
        finally:
            self._resting_until_ms = math.inf
            alarm.cancel()
            bell.cancel()
            await asyncio.gather(alarm, bell, return_exceptions=True)


def _check(message: OutboundMessage) -> None:
    if not _ADDRESS.fullmatch(message.to):
        raise refusal("131026")


def _seen(message: OutboundMessage, at_ms: int) -> Seen:
    return Seen(
        wire_id=message.wire_id,
        body=shown(message.content),
        at_ms=at_ms,
        content=message.content,
        reply_to=message.reply_to,
    )
