"""The protocol that every gateway speaks: messages out, events in, errors with a scope and an action."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol
from uuid import UUID

from berrante.gateways.content import (
    Button,
    ButtonKind,
    ButtonsContent,
    Component,
    ContactCard,
    ContactsContent,
    Content,
    ContentInvalid,
    Email,
    ListContent,
    LocationContent,
    MediaContent,
    MediaKind,
    Parameter,
    Phone,
    Place,
    ReactionContent,
    Row,
    Section,
    TemplateContent,
    TextContent,
    shown,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """What a message that is answered was: ``ours`` if we sent it, and its words, as far as it had any."""

    ours: bool
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class OutboundMessage:
    """One message to send.

    ``to`` is what the gateway addresses (E.164 digits with ``+``). ``wire_id`` was chosen by us and stored before the
    send; sending the same ``wire_id`` twice must show the contact one message wherever the gateway can promise that.
    ``reply_to`` is WhatsApp's own id of the message that this one answers; a reaction has none. ``quoted`` is that
    message, where it is known: the Cloud API needs the id alone, WhatsApp Web shows what it is given.
    """

    organization_id: UUID
    instance_id: str
    message_id: UUID
    wire_id: str
    to: str
    content: Content
    reply_to: str | None = None
    quoted: Quoted | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """WhatsApp took the message; that is not delivery. ``provider_id`` is the id that receipts will carry."""

    provider_id: str
    accepted_at_ms: int


class Scope(enum.StrEnum):
    """What an error is about, so what has to stop."""

    MESSAGE = "message"
    RECIPIENT = "recipient"
    TEMPLATE = "template"
    NUMBER = "number"
    ACCOUNT = "account"


class Action(enum.StrEnum):
    """What to do about it: try again, hold what the scope names, drop this message, or never write there again."""

    RETRY = "retry"
    HOLD = "hold"
    DROP = "drop"
    SUPPRESS = "suppress"


class SendError(Exception):
    """WhatsApp refused the message, or could not be reached before it was sent.

    Only a message-scoped failure uses an attempt. ``retry_after_ms`` is the other side's own wish, if it had one; each
    further time it is ``growth`` times as long, and after ``most_retries`` the message is given up.
    ``campaigns_only``: replies may go on. ``remedy``: what a person has to do, without which no waiting helps.
    ``too_fast``: the number sends more than it may.
    """

    def __init__(
        self,
        message: str,
        *,
        scope: Scope,
        action: Action,
        code: str,
        retry_after_ms: int | None = None,
        growth: int = 1,
        most_retries: int | None = None,
        campaigns_only: bool = False,
        remedy: str | None = None,
        too_fast: bool = False,
    ) -> None:
        super().__init__(message)
        self.scope = scope
        self.action = action
        self.code = code
        self.retry_after_ms = retry_after_ms
        self.growth = growth
        self.most_retries = most_retries
        self.campaigns_only = campaigns_only
        self.remedy = remedy
        self.too_fast = too_fast


class InDoubt(Exception):
    """The answer never came: the message may or may not have been sent. Not a failure."""


class Gateway(Protocol):
    """One way to WhatsApp, for any number of instances."""

    name: ClassVar[str]
    #: Whether sending the same wire id again shows the contact one message: Baileys, simulator; not the Cloud API.
    resend_is_safe: ClassVar[bool]

    def wire_id(self, message_id: UUID) -> str:
        """Derive the wire id of a message from its row id: deterministic, in the shape that this gateway wants."""
        ...

    async def send(self, message: OutboundMessage) -> Accepted:
        """Send, and return once WhatsApp accepted; raise ``SendError`` or ``InDoubt``."""
        ...


class ReceiptStatus(enum.StrEnum):
    """What a receipt says; ranks are the messaging layer's business."""

    SENT = "sent"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class IncomingMessage:
    """A message that a contact wrote. ``sender`` is E.164 digits with ``+``; ``message_id`` is WhatsApp's own.

    ``content`` is ``{"type": "text", "text": "…"}``, or another ``type`` with its kind's fields kept as they came.
    """

    organization_id: UUID
    instance_id: str
    sender: str
    message_id: str
    sent_at_ms: int
    content: dict[str, Any]
    sender_name: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Receipt:
    """A status of a message that we sent. ``message_id`` is its wire id or provider id.

    ``wire_id`` is there if WhatsApp repeats ours beside its own: it finds the message even if the answer to its send
    was lost. ``pricing`` is what WhatsApp says of the price, as it came.
    """

    organization_id: UUID
    instance_id: str
    message_id: str
    status: ReceiptStatus
    at_ms: int
    error_code: str | None = None
    error: str | None = None
    wire_id: str | None = None
    pricing: dict[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberUpdate:
    """What WhatsApp says of a number, its account, its templates or a contact, beside messages.

    ``kind`` is WhatsApp's own name of it and ``subject`` what it is about: of two updates with one subject, the later
    ``at_ms`` holds. ``account_id`` is the WhatsApp Business Account that it came for.
    """

    organization_id: UUID
    instance_id: str
    kind: str
    subject: str
    at_ms: int
    details: dict[str, Any]
    account_id: str | None = None


Event = IncomingMessage | Receipt | NumberUpdate


class EventSink(Protocol):
    """Where a gateway hands in what happened; returns once the events are durable, raises if they are not."""

    async def __call__(self, events: Sequence[Event]) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A webhook's events, and how often each kind came that is kept but not understood."""

    events: list[Event]
    unknown: dict[str, int] = field(default_factory=dict)


__all__ = [
    "Accepted",
    "Action",
    "Button",
    "ButtonKind",
    "ButtonsContent",
    "Component",
    "ContactCard",
    "ContactsContent",
    "Content",
    "ContentInvalid",
    "Email",
    "Event",
    "EventSink",
    "Gateway",
    "InDoubt",
    "IncomingMessage",
    "ListContent",
    "LocationContent",
    "MediaContent",
    "MediaKind",
    "NumberUpdate",
    "OutboundMessage",
    "Parameter",
    "Parsed",
    "Phone",
    "Place",
    "Quoted",
    "ReactionContent",
    "Receipt",
    "ReceiptStatus",
    "Row",
    "Scope",
    "Section",
    "SendError",
    "TemplateContent",
    "TextContent",
    "shown",
]
