"""The webhooks that Meta calls: its first question, and from then on what happens at a number.

An answer of 200 means that everything is durable. Anything else makes Meta deliver again, for days, which is harmless:
the same delivery becomes the same jobs.
"""

import hmac
from collections.abc import Awaitable, Mapping
from typing import Final, Protocol
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.requests import ClientDisconnect

from berrante.engine.connection import is_unavailable
from berrante.gateways.cloud import MalformedWebhook, digest_in, parse, verify_signature
from berrante.gateways.protocol import EventSink
from berrante.messaging.outage import is_away
from berrante.web.error_model import ERRORS
from berrante.web.errors import answer, unexpected
from berrante.web.services import services

router = APIRouter(
    tags=["webhooks"], responses={status: ERRORS[status] for status in (400, 401, 403, 404, 413, 422, 503)}
)

MAX_BODY: Final = 3 * 1024 * 1024  # bytes; Meta's own limit of a webhook


class Webhook(Protocol):
    """What an instance says of its webhook."""

    @property
    def id(self) -> str: ...
    @property
    def organization_id(self) -> UUID: ...
    @property
    def phone_number_id(self) -> str | None: ...
    @property
    def app_secret(self) -> str | None: ...
    @property
    def verify_token(self) -> str | None: ...


class Webhooks(Protocol):
    """Finds an instance's webhook, of whatever organization."""

    async def get(self, instance_id: str, /) -> Webhook | None: ...


class Unknowns(Protocol):
    """Keeps count of what was not understood."""

    async def count(self, organization_id: UUID, instance_id: str, kinds: Mapping[str, int], /) -> None: ...


class WebhookServices(Protocol):
    """What these routes need of the process."""

    @property
    def instances(self) -> Webhooks: ...
    @property
    def intake(self) -> EventSink: ...
    @property
    def unknowns(self) -> Unknowns: ...


@router.get(
    "/webhooks/whatsapp/{instance_id}",
    summary="Meta's first question",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}, "example": "1158201444"}}}},
)
async def verify(request: Request, instance_id: str) -> Response:
    """Answer the challenge if the verify token is the instance's; 403 for all else, which tells nothing."""
    return await _or_unavailable(_verified(services(request), instance_id, request.query_params))


@router.post("/webhooks/whatsapp/{instance_id}", summary="What happened at a number")
async def receive(request: Request, instance_id: str) -> Response:
    """Take all events of a signed delivery; 200 once they are durable and what was not understood is counted."""
    return await _or_unavailable(_received(services(request), instance_id, request))


async def _or_unavailable(response: Awaitable[Response]) -> Response:
    try:
        return await response
    except Exception as error:
        if is_away(error) or is_unavailable(error):
            return unexpected(error)  # 503 with Retry-After
        raise


async def _verified(of: WebhookServices, instance_id: str, query: Mapping[str, str]) -> Response:
    webhook = await of.instances.get(instance_id)
    expected = (webhook.verify_token if webhook else None) or ""
    matches = hmac.compare_digest(expected.encode(), query.get("hub.verify_token", "").encode())
    if query.get("hub.mode") != "subscribe" or not expected or not matches:
        return answer(403, "forbidden", "mode or verify token is not this instance's")
    return PlainTextResponse(query.get("hub.challenge", ""))


async def _received(of: WebhookServices, instance_id: str, request: Request) -> Response:
    webhook = await of.instances.get(instance_id)
    if webhook is None:
        return answer(404, "not_found", f"no such instance: {instance_id[:60]!r}")
    signature = request.headers.get("X-Hub-Signature-256")
    if digest_in(signature) is None:
        return answer(401, "signature_missing", "X-Hub-Signature-256 has to be 'sha256=' and 64 hexadecimal digits")
    try:
        raw_body = await _body(request)
    except ClientDisconnect:
        return answer(400, "body_incomplete", "the body ended early")
    if raw_body is None:
        return answer(413, "body_too_large", f"the body has more than {MAX_BODY} bytes")
    # Before any reading: whoever cannot sign reaches no parser.
    if not verify_signature(webhook.app_secret or "", raw_body, signature):
        return answer(403, "signature_wrong", "the signature is not of this body and this instance's app secret")
    return await _taken(of, webhook, raw_body)


async def _taken(of: WebhookServices, webhook: Webhook, raw_body: bytes) -> Response:
    try:
        parsed = parse(
            raw_body,
            organization_id=webhook.organization_id,
            instance_id=webhook.id,
            phone_number_id=webhook.phone_number_id,
        )
    except MalformedWebhook as error:
        return answer(400, error.code, str(error))
    await of.intake(parsed.events)
    if parsed.unknown:
        await of.unknowns.count(webhook.organization_id, webhook.id, parsed.unknown)
    return JSONResponse({"events": len(parsed.events), "not_understood": sum(parsed.unknown.values())})


async def _body(request: Request) -> bytes | None:
    """Return the whole body, or None as soon as it is too large, whatever its Content-Length said."""
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            return None
    return bytes(body)
