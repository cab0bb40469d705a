"""What tests of webhooks do with a platform."""

from typing import Any
from uuid import UUID

from berrante.messaging.endpoints import Delivery, Endpoint, EventType, emit, enqueue
from berrante.messaging.endpoints.emitting import Told
from berrante.messaging.endpoints.signing import signature
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.messaging.receiver import Receiver
from tests.waiting import until

WEBHOOK = QueueName.WEBHOOK
MINUTE_MS = 60_000


async def endpoint_at(platform: Platform, url: str, *events: str) -> Endpoint:
    return await platform.endpoints.create(
        organization_id=platform.organization.id, url=url, events=list(events or ["*"])
    )


async def emitted(platform: Platform, event: EventType = EventType.CAMPAIGN_STARTED, **data: Any) -> list[Told]:
    async with platform.database.begin() as connection:
        return await emit(connection, platform.organization.id, event, data)


async def enqueued(platform: Platform, **data: Any) -> list[Told]:
    """Emit, and give the jobs."""
    told = await emitted(platform, **data)
    await enqueue(platform.queues, told)
    return told


def data_of(told: Told, **changed: Any) -> dict[str, Any]:
    return {
        "organizationId": str(told.organization_id),
        "endpointId": str(told.endpoint_id),
        "deliveryId": str(told.delivery_id),
        "round": 0,
    } | changed


async def delivery_of(platform: Platform, told: Told) -> Delivery:
    return await platform.deliveries.get(platform.organization.id, told.endpoint_id, told.delivery_id)


async def try_once(platform: Platform, told: Told, **changed: Any) -> Any:
    return await platform.handle(WEBHOOK, "deliver", data_of(told, **changed))


async def until_status(platform: Platform, told: Told, status: str) -> Delivery:
    async def has_status() -> bool:
        return (await delivery_of(platform, told)).status == status

    await until(has_status)
    return await delivery_of(platform, told)


async def log_of(platform: Platform, endpoint: Endpoint) -> list[Delivery]:
    return await platform.deliveries.list(platform.organization.id, endpoint.id, limit=200)


def is_signed(receiver: Receiver, *secrets: str) -> bool:
    """Check the last request as docs/webhooks.md tells receivers to."""
    request = receiver.requests[-1]
    timestamp = int(request.headers["berrante-timestamp"])
    delivery_id = UUID(request.headers["berrante-id"])
    expected = [
        signature(secret, delivery_id=delivery_id, timestamp_s=timestamp, body=request.body) for secret in secrets
    ]
    return request.headers["berrante-signature"].split(",") == expected
