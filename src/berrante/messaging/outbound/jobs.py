"""The job of the queue ``outbound``: send one stored message. It carries ids alone, never the text."""

from uuid import UUID

from berrante.engine import NewJob, Queue
from berrante.messaging.payloads import Payload

SEND = "send"


class SendPayload(Payload, frozen=True, kw_only=True):
    """``messageId`` is the row's id."""

    organization_id: UUID
    instance_id: str
    message_id: UUID


def send_id(message_id: UUID) -> str:
    """Return the id of a message's job."""
    return f"send-{message_id}"


def send_job(queue: Queue, *, organization_id: UUID, instance_id: str, message_id: UUID, priority: int) -> NewJob:
    """Return the job that sends a message; within the queue, a lower priority number goes first."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "messageId": str(message_id)}
    # int(): redis-py would write an enum member as its repr.
    return NewJob(SEND, data, queue.with_id(send_id(message_id), priority=int(priority), group=instance_id))
