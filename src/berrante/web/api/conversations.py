"""``/v1/conversations``: contacts that wrote, with what was said last; and what was said with one of them."""

import base64
import binascii
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from berrante.messaging.conversations import Conversation, Place
from berrante.messaging.errors import Invalid
from berrante.web.api.messages import MessagesOut, message_out
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.services import services

router = APIRouter(tags=["conversations"], responses=ERRORS)

_Limit = Annotated[int, Query(ge=1, le=200)]


class LastMessageOut(BaseModel):
    """The latest message, in either direction."""

    id: UUID
    direction: str
    content: dict[str, Any]
    created_at: datetime


class ConversationOut(BaseModel):
    """One contact that wrote.

    Until ``window_open_until`` it may be answered with free text; null: only with a template that Meta approved.
    """

    contact_id: UUID
    instance_id: str
    address: str
    name: str | None
    last_message: LastMessageOut
    wrote_at: datetime
    unread: int
    window_open_until: datetime | None


class ConversationsOut(BaseModel):
    """A page; give ``next`` as ``after`` to have the page after it, null if this is the last."""

    data: list[ConversationOut]
    next: str | None


@router.get("/conversations", summary="List conversations")
async def list_conversations(
    request: Request,
    key: CurrentKey,
    limit: _Limit = 50,
    after: Annotated[str | None, Query(max_length=200, description="``next`` of the page before.")] = None,
    instance_id: Annotated[str | None, Query(max_length=60)] = None,
) -> ConversationsOut:
    """Return the organization's conversations; those whose contacts wrote last, first."""
    found = await services(request).conversations.list(
        key.organization_id,
        limit=limit + 1,
        after=_place(after) if after is not None else None,
        instance_id=instance_id,
    )
    page = found[:limit]
    return ConversationsOut(data=[_out(each) for each in page], next=_cursor(page[-1]) if len(found) > limit else None)


@router.get("/instances/{instance_id}/conversations/{contact_id}/messages", summary="Read a conversation")
async def read_conversation(
    request: Request,
    key: CurrentKey,
    instance_id: str,
    contact_id: UUID,
    *,
    limit: _Limit = 50,
    before: Annotated[UUID | None, Query(description="Only messages older than this one.")] = None,
) -> MessagesOut:
    """Return what was said with a contact, newest first. It stays unread: marking is a call of its own."""
    found = await services(request).conversations.messages(
        key.organization_id, instance_id, contact_id, limit=limit + 1, before=before
    )
    page = [message_out(message) for message in found[:limit]]
    return MessagesOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.post("/instances/{instance_id}/conversations/{contact_id}/read", status_code=204, summary="Mark as read")
async def mark_read(request: Request, key: CurrentKey, instance_id: str, contact_id: UUID) -> None:
    """Count nothing that has come so far as unread."""
    await services(request).conversations.mark_read(key.organization_id, instance_id, contact_id)


def _out(each: Conversation) -> ConversationOut:
    return ConversationOut(
        contact_id=each.contact_id,
        instance_id=each.instance_id,
        address=each.address,
        name=each.name,
        last_message=LastMessageOut(
            id=each.last_message_id,
            direction=each.last_message_direction,
            content=dict(each.last_message_content),
            created_at=each.last_message_created_at,
        ),
        wrote_at=each.wrote_at,
        unread=each.unread,
        window_open_until=each.window_open_until,
    )


def _cursor(last: Conversation) -> str:
    return base64.urlsafe_b64encode(f"{last.wrote_at.isoformat()}/{last.contact_id}".encode()).decode()


def _place(cursor: str) -> Place:
    try:
        wrote_at, _, contact_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("/")
        place = Place(datetime.fromisoformat(wrote_at), UUID(contact_id))
    except (ValueError, binascii.Error) as error:
        raise Invalid("after", "is no page's end", remedy="give 'next' of the page before") from error
    if place.wrote_at.tzinfo is None:
        raise Invalid("after", "is no page's end", remedy="give 'next' of the page before")
    return place
