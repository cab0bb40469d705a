"""``/v1/messages``: an organization's messages, both directions, and what became of each."""

from datetime import datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Body, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from berrante.messaging.clock import moment
from berrante.messaging.errors import Missing
from berrante.messaging.messages import Message, MessageStatus
from berrante.messaging.messages.history import history
from berrante.messaging.outbound.jobs import send_id
from berrante.web.api.shapes import Strict
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.services import services

router = APIRouter(tags=["messages"], responses=ERRORS)


class FailureOut(BaseModel):
    """Why a message failed; ``code`` is the gateway's own."""

    code: str | None
    reason: str | None


class MessageOut(BaseModel):
    """One message; ``address`` is the contact's number and times are UTC."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    instance_id: str
    contact_id: UUID
    address: str
    direction: str
    origin: str
    status: MessageStatus
    content: dict[str, Any]
    wire_id: str
    provider_id: str | None
    failure: FailureOut | None
    created_at: datetime
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    updated_at: datetime


class StatusOut(BaseModel):
    """A status, and since when."""

    status: MessageStatus
    at: datetime


class QueuedOut(BaseModel):
    """Why a message has not been sent: where it stands in its number's lane.

    ``ahead`` messages go first as things are now; ``expected_at`` is when it is expected to leave by the number's pace,
    null if that does not say.
    """

    since: datetime
    ahead: int
    reason: str
    expected_at: datetime | None


class MessageWithHistoryOut(MessageOut):
    """A message with its statuses, the one that holds last; WhatsApp may leave some out."""

    statuses: list[StatusOut]
    queued: QueuedOut | None = None


class MessagesOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[MessageOut]
    next: UUID | None


@router.get("/messages", summary="List messages")
async def list_messages(
    request: Request,
    key: CurrentKey,
    limit: Annotated[int, Query(ge=1, le=200, description="Messages at most.")] = 50,
    before: Annotated[UUID | None, Query(description="Only those older than this message.")] = None,
    instance_id: Annotated[str | None, Query(description="Only those of this number.")] = None,
) -> MessagesOut:
    """Return the organization's messages, newest first."""
    # One more than asked tells whether there is a next page.
    found = await services(request).messages.list(key.organization_id, limit + 1, before, instance_id)
    page = [message_out(message) for message in found[:limit]]
    return MessagesOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.get("/messages/{message_id}", summary="Read a message")
async def read_message(request: Request, key: CurrentKey, message_id: UUID) -> MessageWithHistoryOut:
    """Return one message with what became of it and when."""
    message = await services(request).messages.get(key.organization_id, message_id)
    if message is None:
        raise Missing("message", message_id)
    statuses = [StatusOut(status=change.status, at=change.at) for change in history(message)]
    queued = await _queued(request, message) if message.status is MessageStatus.QUEUED else None
    return MessageWithHistoryOut(**message_out(message).model_dump(), statuses=statuses, queued=queued)


class ReadIn(Strict):
    """What else the contact is shown."""

    typing: bool = Field(
        False, description="Show that you write: until you send, or for 25 seconds. Ask again to show it longer."
    )


_READ_EXAMPLES: Final[dict[str, Any]] = {
    "read": {"summary": "Read", "value": {}},
    "typing": {"summary": "Read, and an answer is being written", "value": {"typing": True}},
}


@router.post("/messages/{message_id}/read", status_code=204, summary="Show the contact that its message was read")
async def mark_message_read(
    request: Request,
    key: CurrentKey,
    message_id: UUID,
    body: Annotated[ReadIn | None, Body(openapi_examples=_READ_EXAMPLES)] = None,
) -> None:
    """Mark a contact's message, and all before it, as read: the contact sees it, and nothing of it counts as unread.

    WhatsApp is asked at once, so 204 says that it took it. Asking again changes nothing. A refusal is a 409
    (`gateway_refused`), or a 503 with `Retry-After` if it passes; a gateway that cannot do it is a 422
    (`not_supported`), and too many at once are a 429 (`busy`).
    """
    await services(request).read_marks.mark(key.organization_id, message_id, typing=body is not None and body.typing)


async def _queued(request: Request, message: Message) -> QueuedOut | None:
    place = await services(request).queues.outbound.groups.place(send_id(message.id))
    if place is None:  # it is being sent just now, or waits for its next attempt
        return None
    return QueuedOut(
        since=message.created_at,
        ahead=place.ahead,
        reason=place.stats.why.value,
        expected_at=None if place.expected_ms is None else moment(place.expected_ms),
    )


def message_out(message: Message) -> MessageOut:
    """Return a message as the API shows it."""
    failed = message.failure_code is not None or message.failure_reason is not None
    return MessageOut(
        id=message.id,
        instance_id=message.instance_id,
        contact_id=message.contact_id,
        address=message.address,
        direction=message.direction,
        origin=message.origin,
        status=message.status,
        content=dict(message.content),
        wire_id=message.wire_id,
        provider_id=message.provider_id,
        failure=FailureOut(code=message.failure_code, reason=message.failure_reason) if failed else None,
        created_at=message.created_at,
        sent_at=message.sent_at,
        delivered_at=message.delivered_at,
        read_at=message.read_at,
        updated_at=message.updated_at,
    )
