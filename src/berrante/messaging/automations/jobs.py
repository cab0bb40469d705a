"""The job of the queue ``automation``: one run's reply is due."""

from uuid import UUID

from berrante.engine import NewJob, Queue
from berrante.messaging.payloads import Payload

STEP = "step"


class StepPayload(Payload, frozen=True, kw_only=True):
    """Ids alone: the text stays in the database."""

    organization_id: UUID
    instance_id: str
    run_id: UUID


def step_id(run_id: UUID) -> str:
    """Return the id of a run's job."""
    return f"run-{run_id}"


def step_job(queue: Queue, *, organization_id: UUID, instance_id: str, run_id: UUID, delay_ms: int = 0) -> NewJob:
    """Return the job of a run."""
    data = {"organizationId": str(organization_id), "instanceId": instance_id, "runId": str(run_id)}
    return NewJob(STEP, data, queue.with_id(step_id(run_id), delay_ms=max(0, delay_ms), group=instance_id))
