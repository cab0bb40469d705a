"""What people do to one job."""

import time

from berrante.engine import Job, JobNotInState, Queue, State
from berrante.engine.operating import retry_on
from berrante.web.board import bodies
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.errors import BoardError, details


async def retry(_: Asked, queue: Queue, job: Job) -> Answer:
    """Run a failed or completed job again."""
    state = await queue.state(job.id)
    if state not in (State.FAILED, State.COMPLETED):
        raise BoardError(400, "JOB_NOT_RETRIABLE", options={"state": state or "unknown"})
    await retry_on(queue, job, state)
    return None


async def remove(_: Asked, queue: Queue, job: Job) -> Answer:
    """Remove a job with its children; not while it runs, and not the next one of a scheduler."""
    if (scheduler := job.scheduler_id) and await _is_next(queue, job, scheduler):
        raise BoardError(
            400,
            "JOB_BELONGS_TO_JOB_SCHEDULER",
            code="JOB_BELONGS_TO_JOB_SCHEDULER",
            jobSchedulerId=scheduler,
            message=details("JOB_BELONGS_TO_JOB_SCHEDULER_DETAILS", jobId=job.id, jobSchedulerId=scheduler),
        )
    try:
        await queue.remove(job.id)
    except JobNotInState as error:
        raise BoardError(409, "JOB_IS_ACTIVE", message=details("JOB_IS_ACTIVE_DETAILS", jobId=job.id)) from error
    return None


async def promote(_: Asked, queue: Queue, job: Job) -> Answer:
    """Let a delayed job wait no longer."""
    try:
        await queue.promote(job.id)
    except JobNotInState as error:
        raise await _not_delayed(queue, job) from error
    return None


async def update_data(asked: Asked, _: Queue, job: Job) -> Answer:
    """Replace a job's data."""
    await job.update_data(bodies.job_data(asked.body))
    return {}


async def change_delay(asked: Asked, queue: Queue, job: Job) -> Answer:
    """Let a delayed job run at another time."""
    run_at = bodies.run_at(asked.body)
    if await queue.state(job.id) is not State.DELAYED:
        raise await _not_delayed(queue, job)
    try:
        await queue.change_delay(job.id, max(0, run_at - time.time_ns() // 1_000_000))
    except JobNotInState as error:
        raise await _not_delayed(queue, job) from error
    return {}


async def change_priority(asked: Asked, queue: Queue, job: Job) -> Answer:
    """Give a job another priority."""
    await queue.change_priority(job.id, bodies.priority(asked.body))
    return {}


async def _is_next(queue: Queue, job: Job, scheduler_id: str) -> bool:
    scheduler = await queue.schedulers.get(scheduler_id)
    return scheduler is not None and job.id == f"repeat:{scheduler_id}:{scheduler.next_ms}"


async def _not_delayed(queue: Queue, job: Job) -> BoardError:
    return BoardError(400, "JOB_NOT_DELAYED", options={"status": await queue.state(job.id) or "unknown"})
