"""``POST /v1/instances/{id}/messages``: takes a message that is to be sent; 202 once it is stored."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel

from berrante.messaging.errors import Missing
from berrante.web.api.contents import EXAMPLES, MessageIn, TextIn, check_sendable
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.idempotency import idempotency_id
from berrante.web.services import services

router = APIRouter(tags=["messages"], responses=ERRORS)


class AcceptedOut(BaseModel):
    """The message is stored and will be sent; ``GET /v1/messages/{id}`` tells what becomes of it."""

    id: UUID
    status: Literal["queued"] = "queued"


@router.post("/instances/{instance_id}/messages", status_code=202, summary="Send a message")
async def send_message(
    request: Request, key: CurrentKey, instance_id: str, body: Annotated[MessageIn, Body(openapi_examples=EXAMPLES)]
) -> AcceptedOut:
    """Accept a message. Accepted is not sent, and sent is not delivered."""
    of = services(request)
    instance = await of.instances.find(key.organization_id, instance_id)
    if instance is None:
        raise Missing("instance", instance_id[:60])
    check_sendable(body, gateway=instance.gateway)
    assert isinstance(body, TextIn)
    message_id = await of.outbound.accept(
        organization_id=key.organization_id,
        instance_id=instance_id,
        to=body.to,
        text=body.text,
        message_id=idempotency_id(request),
    )
    return AcceptedOut(id=message_id)
