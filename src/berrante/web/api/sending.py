"""``POST /v1/instances/{id}/messages``: takes a message that is to be sent; 202 once it is stored."""

from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel

from berrante.gateways.protocol import ContentInvalid
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.messages.bodies import FIELDS
from berrante.web.api.contents import EXAMPLES, MessageIn, check_sendable
from berrante.web.api.file_contents import MediaIn, TemplateIn
from berrante.web.api.uploads import check_upload
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.idempotency import idempotency_id
from berrante.web.services import Services, services

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
    try:
        content = body.content(key.organization_id)
    except ContentInvalid as error:
        raise Invalid(FIELDS.get(error.field, error.field), error.problem, remedy=error.remedy) from error
    await _check_upload(of, key.organization_id, body)
    message_id = await of.outbound.accept(
        organization_id=key.organization_id,
        instance_id=instance_id,
        to=body.to,
        content=content,
        quotes=body.reply_to,
        message_id=idempotency_id(request),
        instance=instance,
    )
    return AcceptedOut(id=message_id)


async def _check_upload(of: Services, organization_id: UUID, body: MessageIn) -> None:
    match body:
        case MediaIn(media_id=str(media_id)):
            field = "media_id"
        case TemplateIn(header=header) if header is not None and header.media_id is not None:
            field, media_id = "header.media_id", header.media_id
        case _:
            return
    await check_upload(of.media, organization_id, media_id, field=field)
