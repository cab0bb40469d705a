"""Contacts that write now and then."""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from berrante.gateways.protocol import IncomingMessage


@dataclass(frozen=True, kw_only=True, slots=True)
class Chatter:
    """Some contacts of one instance; one of them writes one of the phrases every ``mean_interval_ms`` on average.

    ``names`` holds the profile names of contacts that have one.
    """

    instance_id: str
    organization_id: UUID
    contacts: Sequence[str]
    mean_interval_ms: int
    phrases: Sequence[str]
    names: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.contacts or not self.phrases:
            raise ValueError("Chatter needs at least one contact and one phrase")
        if self.mean_interval_ms < 1:
            raise ValueError(f"Chatter.mean_interval_ms is {self.mean_interval_ms}: give milliseconds, 1 or more")


class Conversation:
    """A chatter under way: knows when somebody writes next."""

    def __init__(self, chatter: Chatter, luck: random.Random, *, now_ms: int) -> None:
        self._chatter = chatter
        self._luck = luck
        self._written = 0
        self.due_ms = now_ms + self._pause_ms()

    def write(self, now_ms: int) -> IncomingMessage:
        """Return what is written now, and set when the next comes.

        Time that was slept through is not made up for: nobody wrote while the machine was off.
        """
        chatter = self._chatter
        sender = self._luck.choice(chatter.contacts)
        self._written += 1
        self.due_ms = now_ms + self._pause_ms()
        return written(
            organization_id=chatter.organization_id,
            instance_id=chatter.instance_id,
            sender=sender,
            text=self._luck.choice(chatter.phrases),
            sender_name=chatter.names.get(sender),
            sent_at_ms=now_ms,
            number=self._written,
        )

    def _pause_ms(self) -> int:
        return max(1, round(self._luck.expovariate(1 / self._chatter.mean_interval_ms)))


def written(
    *,
    organization_id: UUID,
    instance_id: str,
    sender: str,
    text: str,
    sender_name: str | None,
    sent_at_ms: int,
    number: int,
) -> IncomingMessage:
    """Return the message of a contact, with an id that no other moment gives.

    The moment is in the id because a run with the same seed starts over: ids of the last run would be taken for
    messages that came twice.
    """
    digest = hashlib.sha256(f"{instance_id}:{sender}:{sent_at_ms}:{number}:{text}".encode()).hexdigest()
    return IncomingMessage(
        organization_id=organization_id,
        instance_id=instance_id,
        sender=sender,
        message_id=f"3A{digest[:18].upper()}",  # the shape that WhatsApp's phones give
        sent_at_ms=sent_at_ms,
        content={"type": "text", "text": text},
        sender_name=sender_name,
    )
