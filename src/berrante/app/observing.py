"""Logs what the domain did with each job: the domain itself makes no log calls."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import structlog

from berrante.engine import BatchHandler, Handler, Job
from berrante.messaging.maintenance.schedules import RETAIN
from berrante.messaging.queues import QueueName
from berrante.messaging.reconciler import RECONCILE
from berrante.telemetry import Tracing, events, masked
from berrante.telemetry.worker_log import about

_Told = Mapping[str, Any]


def observed(name: QueueName, handler: Handler, tracing: Tracing) -> Handler:
    """Return the handler, but one that tells what came of a job; its own log lines carry the job's ids and trace."""
    tell = _TELL[name]

    async def handle(job: Job) -> object:
        with (
            tracing.job(job),
            structlog.contextvars.bound_contextvars(queue=job.queue_name, job_id=job.id),
        ):
            outcome = await handler(job)
            data = job.data
            tell(job, data if isinstance(data, Mapping) else {}, outcome if isinstance(outcome, Mapping) else {})
            return outcome

    return handle


def observed_batch(name: QueueName, handler: BatchHandler, tracing: Tracing) -> BatchHandler:
    """Do the same for a handler of batches: each job is told of within its own trace."""
    tell = _TELL[name]

    async def handle(jobs: Sequence[Job]) -> object:
        with tracing.batch(jobs) as spans:
            with structlog.contextvars.bound_contextvars(queue=jobs[0].queue_name):
                outcomes = await handler(jobs)
            by_job = outcomes if isinstance(outcomes, Mapping) else {}
            spans.ended(by_job)
            for job in jobs:
                data, outcome = job.data, by_job.get(job.id)
                with spans.of(job):
                    tell(
                        job, data if isinstance(data, Mapping) else {}, outcome if isinstance(outcome, Mapping) else {}
                    )
        return outcomes

    return handle


def _message(job: Job, data: _Told, outcome: _Told) -> None:
    if "status" not in outcome or not events.MESSAGE_RECEIVED.is_on:  # all of these are of one level
        return
    if job.name == "receipt":
        events.MESSAGE_STATUS(
            **about(job),
            message_id=data.get("messageId"),
            receipt=data.get("status"),
            status=outcome.get("status"),
        )
    elif job.name == "update":
        events.NUMBER_UPDATED(**about(job), kind=outcome.get("kind"), outcome=outcome["status"])
    elif job.name == "media":
        events.MEDIA_FETCHED(**about(job), message_id=data.get("messageId"), outcome=outcome["status"])
    else:
        events.MESSAGE_RECEIVED(
            **about(job),
            sender=masked(str(data.get("from", ""))),
            message_id=outcome.get("messageId"),
            outcome=outcome["status"],
            automations=outcome.get("runs"),
        )


def _automation(job: Job, _: _Told, outcome: _Told) -> None:
    if "status" in outcome:
        events.AUTOMATION_DONE(**about(job), message_id=outcome.get("messageId"), outcome=outcome["status"])


def _campaign(job: Job, data: _Told, outcome: _Told) -> None:
    # A tick that wrote to someone snoozes: the message's own line says so.
    if "status" in outcome:
        events.CAMPAIGN_TICKED(**about(job), campaign_id=data.get("campaignId"), outcome=outcome["status"])


def _outbound(job: Job, data: _Told, outcome: _Told) -> None:
    if "status" in outcome:
        events.MESSAGE_SENT(
            **about(job), message_id=data.get("messageId"), outcome=outcome["status"], code=outcome.get("code")
        )


def _webhook(job: Job, data: _Told, outcome: _Told) -> None:
    if "status" in outcome:
        named = {"webhook_id": data.get("endpointId"), "delivery_id": data.get("deliveryId")}
        events.WEBHOOK_SETTLED(
            **about(job), **named, outcome=outcome["status"], code=outcome.get("code"), reason=outcome.get("reason")
        )
        if outcome.get("disabled"):
            hint = "its organization has to mend it and enable it again: PATCH /v1/webhooks/{id}"
            events.WEBHOOK_DISABLED(**about(job), **named, reason=outcome["disabled"], hint=hint)


def _maintenance(job: Job, _: _Told, outcome: _Told) -> None:
    found = {name: number for name, number in outcome.items() if number}
    if found and job.name == RETAIN:
        events.RETAINED(**about(job), outcome=found)
    elif found and job.name == RECONCILE:
        hint = "a process was killed between commit and enqueue, or Redis lost data; nothing else was lost"
        events.RECONCILED(**about(job), outcome=found, hint=hint)


_TELL: Final[Mapping[QueueName, Callable[[Job, _Told, _Told], None]]] = {
    QueueName.MESSAGE: _message,
    QueueName.AUTOMATION: _automation,
    QueueName.CAMPAIGN: _campaign,
    QueueName.OUTBOUND: _outbound,
    QueueName.WEBHOOK: _webhook,
    QueueName.MAINTENANCE: _maintenance,
}
