"""The jobs of the queue ``message``: what came in, and what was told of what went out."""

import hashlib
from typing import Any, Final
from uuid import UUID

import msgspec

from berrante.engine import JobOptions, NewJob, Queue
from berrante.gateways.protocol import Event, IncomingMessage, NumberUpdate, Receipt, ReceiptStatus
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable
from berrante.messaging.payloads import Payload

INCOMING = "incoming"
RECEIPT = "receipt"
UPDATE = "update"
MEDIA = "media"
_LONGEST_ID: Final = 512


class IncomingPayload(Payload, frozen=True, kw_only=True):
    """A message that a contact wrote; ``sentAt`` in milliseconds or ISO 8601, ``content`` an object or bare text."""

    organization_id: UUID
    instance_id: str
    sender: str = msgspec.field(name="from")
    content: dict[str, Any] | str
    message_id: str
    sent_at: int | float | str
    from_name: str | None = None


class ReceiptPayload(Payload, frozen=True, kw_only=True):
    """A status of a message that we sent; ``messageId`` is its wire id or provider id."""

    organization_id: UUID
    instance_id: str
    message_id: str
    status: ReceiptStatus
    at: int | float | str
    error_code: str | int | None = None
    error: str | None = None
    wire_id: str | None = None
    pricing: dict[str, Any] | None = None


class UpdatePayload(Payload, frozen=True, kw_only=True):
    """What WhatsApp says of a number, its account, a template or a contact; ``at`` 0 if WhatsApp gave no time."""

    organization_id: UUID
    instance_id: str
    kind: str
    subject: str
    at: int | float | str
    details: dict[str, Any]
    account_id: str | None = None


class MediaPayload(Payload, frozen=True, kw_only=True):
    """A stored message whose file is to be fetched; ``messageId`` is the row's id."""

    organization_id: UUID
    instance_id: str
    message_id: UUID


def job_of(event: Event, queue: Queue) -> NewJob:
    """Return the job of an event. The same event is the same job, however often it is delivered."""
    match event:
        case IncomingMessage():
            data: dict[str, Any] = {
                "organizationId": str(event.organization_id),
                "instanceId": event.instance_id,
                "from": event.sender,
                "content": event.content,
                "messageId": event.message_id,
                "sentAt": event.sent_at_ms,
                "fromName": event.sender_name,
            }
            return NewJob(INCOMING, data, _with_id(queue, event.instance_id, event.message_id, event.sent_at_ms))
        case Receipt():
            data = {
                "organizationId": str(event.organization_id),
                "instanceId": event.instance_id,
                "messageId": event.message_id,
                "status": event.status.value,
                "at": event.at_ms,
                "errorCode": event.error_code,
                "error": event.error,
                "wireId": event.wire_id,
                "pricing": event.pricing,
            }
            parts = (event.message_id, event.status.value, event.at_ms)
            return NewJob(RECEIPT, data, _with_id(queue, event.instance_id, *parts))
        case NumberUpdate():
            data = {
                "organizationId": str(event.organization_id),
                "instanceId": event.instance_id,
                "kind": event.kind,
                "subject": event.subject,
                "at": event.at_ms,
                "details": event.details,
                "accountId": event.account_id,
            }
            # The digest tells apart what came in one second, or without a time.
            digest = hashlib.sha256(msgspec.json.encode(data, order="sorted")).hexdigest()[:24]
            return NewJob(UPDATE, data, _with_id(queue, event.instance_id, event.kind, digest, event.at_ms))


def media_job(queue: Queue, *, organization_id: UUID, instance_id: str, message_id: UUID) -> NewJob:
    """Return the job that fetches a message's file, in a lane beside the number's: messages do not wait for files."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "messageId": str(message_id)}
    options = queue.with_id(f"media-{message_id}", group=f"{instance_id}/media")
    return NewJob(MEDIA, data, options)


def checked_id(message_id: str) -> str:
    """Return the message's id if the database can hold it; raises ``Invalid``."""
    if not 1 <= len(message_id) <= _LONGEST_ID or storable(message_id) != message_id:
        raise Invalid("messageId", f"is {message_id[:40]!r}", remedy=f"give 1 to {_LONGEST_ID} characters, no U+0000")
    return message_id


def _with_id(queue: Queue, instance_id: str, *parts: object) -> JobOptions:
    job_id = "-".join(str(part) for part in (instance_id, *parts)).replace(":", "-")
    return queue.with_id(job_id, group=instance_id)
