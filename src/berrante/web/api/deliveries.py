"""``/v1/webhooks/{id}/deliveries``: what was sent to an endpoint, what it answered, and sending it again."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from berrante.messaging.endpoints import Delivery
from berrante.web.auth import CurrentKey
from berrante.web.services import services

router = APIRouter(tags=["webhooks"])

Status = Literal["pending", "delivered", "failed", "skipped"]


class AnswerOut(BaseModel):
    """What the endpoint answered last, the first KB of it; ``ms`` is how long that took."""

    status: int | None
    body: str | None
    ms: int | None


class DeliveryOut(BaseModel):
    """One delivery; its ``id`` is the header ``Berrante-Id``, and ``due_at`` the time of the next try if pending."""

    id: UUID
    webhook_id: UUID
    event: str
    event_id: str
    status: Status
    attempts: int
    replays: int
    created_at: datetime
    due_at: datetime | None
    attempted_at: datetime | None
    delivered_at: datetime | None
    answer: AnswerOut | None
    error: str | None


class DeliveryWithBody(DeliveryOut):
    """A delivery with the text that was signed and sent."""

    body: str


class DeliveriesOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[DeliveryOut]
    next: UUID | None


@router.get("/webhooks/{webhook_id}/deliveries", summary="List deliveries")
async def list_deliveries(
    request: Request,
    key: CurrentKey,
    webhook_id: UUID,
    *,
    limit: Annotated[int, Query(ge=1, le=200, description="Deliveries at most.")] = 50,
    before: Annotated[UUID | None, Query(description="Only those older than this one.")] = None,
    status: Annotated[Status | None, Query(description="Only those of this status.")] = None,
) -> DeliveriesOut:
    """Return an endpoint's deliveries of the last 30 days, newest first."""
    found = await services(request).deliveries.list(
        key.organization_id, webhook_id, limit=limit + 1, before=before, status=status
    )
    page = [_out(delivery) for delivery in found[:limit]]
    return DeliveriesOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.get("/webhooks/{webhook_id}/deliveries/{delivery_id}", summary="One delivery")
async def get(request: Request, key: CurrentKey, webhook_id: UUID, delivery_id: UUID) -> DeliveryWithBody:
    """Return a delivery with its body."""
    delivery = await services(request).deliveries.get(key.organization_id, webhook_id, delivery_id)
    return DeliveryWithBody(**_out(delivery).model_dump(), body=delivery.body.decode())


@router.post("/webhooks/{webhook_id}/deliveries/{delivery_id}/replay", status_code=202, summary="Send it again")
async def replay(request: Request, key: CurrentKey, webhook_id: UUID, delivery_id: UUID) -> DeliveryOut:
    """Deliver it again, whatever became of it: the same id and the same bytes."""
    return _out(await services(request).deliveries.replay(key.organization_id, webhook_id, delivery_id))


def _out(delivery: Delivery) -> DeliveryOut:
    answered = delivery.answer_status is not None
    return DeliveryOut(
        id=delivery.id,
        webhook_id=delivery.endpoint_id,
        event=delivery.event,
        event_id=f"evt_{delivery.event_id.hex}",
        status=delivery.status,
        attempts=delivery.attempts,
        replays=delivery.round,
        created_at=delivery.created_at,
        due_at=delivery.due_at if delivery.status == "pending" else None,
        attempted_at=delivery.attempted_at,
        delivered_at=delivery.delivered_at,
        answer=AnswerOut(status=delivery.answer_status, body=delivery.answer_body, ms=delivery.answer_ms)
        if answered
        else None,
        error=delivery.error,
    )
