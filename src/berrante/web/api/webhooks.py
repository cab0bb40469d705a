"""``/v1/webhooks``: where an organization's programs want to be told of what happens."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from berrante.messaging.endpoints import Endpoint
from berrante.web.auth import CurrentKey
from berrante.web.idempotency import idempotency_id
from berrante.web.services import services

router = APIRouter(tags=["webhooks"])


class WebhookIn(BaseModel):
    """An endpoint to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"url": "https://example.com/hooks", "events": ["message.*"]}},
    )

    url: str = Field(max_length=2_000, description="`https://…`, at a public address.")
    events: list[str] = Field(max_length=50, description="`*`, a kind such as `message.*`, or events.")
    description: str | None = Field(None, max_length=200)


class WebhookChange(BaseModel):
    """What to change; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"enabled": True}})

    url: str | None = Field(None, max_length=2_000)
    events: list[str] | None = Field(None, max_length=50)
    description: str | None = Field(None, max_length=200)
    enabled: bool | None = Field(None, description="True forgets the failures and begins anew.")


class Rotation(BaseModel):
    """How long both secrets hold."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"overlap_s": 86_400}})

    overlap_s: int = Field(
        86_400, ge=0, le=7 * 86_400, description="Seconds for which deliveries are signed with the old secret too."
    )


class WebhookOut(BaseModel):
    """One endpoint; ``failures`` counts those in a row, and until ``resting_until`` nothing is sent to it."""

    id: UUID
    url: str
    description: str | None
    events: list[str]
    enabled: bool
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    failures: int
    failing_since: datetime | None
    resting_until: datetime | None
    previous_secret_until: datetime | None


class WebhookWithSecret(WebhookOut):
    """The one answer that shows the secret."""

    secret: str


class WebhooksOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[WebhookOut]
    next: UUID | None


class PingOut(BaseModel):
    """The delivery of a test."""

    delivery_id: UUID


@router.post("/webhooks", status_code=201, summary="Make an endpoint")
async def create(request: Request, response: Response, key: CurrentKey, body: WebhookIn) -> WebhookWithSecret:
    """Make an endpoint; its secret is shown here and never again."""
    endpoint = await services(request).endpoints.create(
        organization_id=key.organization_id,
        url=body.url,
        events=body.events,
        description=body.description,
        endpoint_id=idempotency_id(request),
    )
    return _shown_once(endpoint, response)


@router.get("/webhooks", summary="List endpoints")
async def list_endpoints(
    request: Request,
    key: CurrentKey,
    limit: Annotated[int, Query(ge=1, le=200, description="Endpoints at most.")] = 50,
    before: Annotated[UUID | None, Query(description="Only those older than this one.")] = None,
) -> WebhooksOut:
    """Return the organization's endpoints, newest first."""
    found = await services(request).endpoints.list(key.organization_id, limit + 1, before)
    page = [_out(endpoint) for endpoint in found[:limit]]
    return WebhooksOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.get("/webhooks/{webhook_id}", summary="One endpoint")
async def get(request: Request, key: CurrentKey, webhook_id: UUID) -> WebhookOut:
    """Return an endpoint."""
    return _out(await services(request).endpoints.get(key.organization_id, webhook_id))


@router.patch("/webhooks/{webhook_id}", summary="Change an endpoint")
async def change(request: Request, key: CurrentKey, webhook_id: UUID, body: WebhookChange) -> WebhookOut:
    """Change, disable or enable an endpoint."""
    changed = await services(request).endpoints.change(
        key.organization_id,
        webhook_id,
        url=body.url,
        events=body.events,
        description=body.description,
        enabled=body.enabled,
    )
    return _out(changed)


@router.delete("/webhooks/{webhook_id}", status_code=204, summary="Delete an endpoint")
async def delete(request: Request, key: CurrentKey, webhook_id: UUID) -> None:
    """Delete an endpoint, its log and what still waits to be delivered to it."""
    await services(request).endpoints.delete(key.organization_id, webhook_id)


@router.post("/webhooks/{webhook_id}/rotate-secret", summary="Give it a new secret")
async def rotate_secret(
    request: Request, response: Response, key: CurrentKey, webhook_id: UUID, body: Rotation
) -> WebhookWithSecret:
    """Make a new secret, shown here and never again."""
    endpoint = await services(request).endpoints.rotate_secret(
        key.organization_id, webhook_id, overlap_s=body.overlap_s
    )
    return _shown_once(endpoint, response)


@router.post("/webhooks/{webhook_id}/test", status_code=202, summary="Send a test")
async def ping(request: Request, key: CurrentKey, webhook_id: UUID) -> PingOut:
    """Deliver ``webhook.test`` to the endpoint; the log of its deliveries says what came of it."""
    return PingOut(delivery_id=await services(request).endpoints.ping(key.organization_id, webhook_id))


def _out(endpoint: Endpoint) -> WebhookOut:
    return WebhookOut(
        id=endpoint.id,
        url=endpoint.url,
        description=endpoint.description,
        events=list(endpoint.events),
        enabled=endpoint.disabled_at is None,
        created_at=endpoint.created_at,
        disabled_at=endpoint.disabled_at,
        disabled_reason=endpoint.disabled_reason,
        failures=endpoint.failures,
        failing_since=endpoint.failing_since,
        resting_until=endpoint.open_until,
        previous_secret_until=endpoint.previous_secret_until,
    )


def _shown_once(endpoint: Endpoint, response: Response) -> WebhookWithSecret:
    response.headers["Cache-Control"] = "no-store"
    assert endpoint.secret is not None
    return WebhookWithSecret(**_out(endpoint).model_dump(), secret=endpoint.secret)
