"""What people do to a whole queue, or to all of them."""

from berrante.engine import Queue, QueueBusy, State
from berrante.engine.operating import clean_all, release_rate, remove_rate, retry_each
from berrante.web.board import bodies
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.errors import BoardError, details, invalid
from berrante.web.board.formatting import format_job

#: Bull Board leaves what is younger: it may be of an action under way.
_GRACE_MS = 5_000


async def pause_all(asked: Asked) -> Answer:
    """Pause every queue that may be changed."""
    for queue in _writable(asked):
        if not await queue.is_paused():
            await queue.pause()
    return {}


async def resume_all(asked: Asked) -> Answer:
    """Resume every queue that may be changed."""
    for queue in _writable(asked):
        if await queue.is_paused():
            await queue.resume()
    return {}


async def add(asked: Asked, queue: Queue) -> Answer:
    """Add a job.

    Node's board answers an id that is there already as if it had added something, which befalls everyone who
    duplicates a job of ours, for all have ids. Here it is told.
    """
    name, data, options = bodies.new_job(asked.body, queue)
    if options.job_id and await queue.get(options.job_id):
        taken = f"job {options.job_id!r} is there already: give another options.jobId, or none"
        raise BoardError(409, "INVALID_REQUEST_BODY", options={"field": "options"}, message=taken)
    job = await queue.add(name, data, options)
    deduplicated = {"deduplicationId": options.deduplication.id} if options.deduplication else {}
    return {"job": format_job(job) | deduplicated, "status": await queue.state(job.id) or "unknown"}


async def retry_all(asked: Asked, queue: Queue) -> Answer:
    """Run all failed, or completed, jobs again."""
    status = asked.params["status"]
    if status not in (State.FAILED, State.COMPLETED):
        raise BoardError(400, "STATUS_NOT_RETRIABLE", options={"status": status})
    outcome = await retry_each(queue, State(status))
    return {"retried": outcome.retried, "skipped": outcome.skipped}


async def promote_all(_: Asked, queue: Queue) -> Answer:
    """Let all delayed jobs wait no longer."""
    await queue.retry_all(State.DELAYED)
    return {}


async def clean(asked: Asked, queue: Queue) -> Answer:
    """Remove all jobs of a state that are older than five seconds."""
    try:
        state = State(asked.params["status"])
    except ValueError as error:
        raise invalid("INVALID_QUERY_PARAM", field="status") from error
    await clean_all(queue, state, older_than_ms=_GRACE_MS)
    return {}


async def pause(_: Asked, queue: Queue) -> Answer:
    """Let no worker take another job."""
    await queue.pause()
    return {}


async def resume(_: Asked, queue: Queue) -> Answer:
    """Let workers take jobs again."""
    await queue.resume()
    return {}


async def empty(_: Asked, queue: Queue) -> Answer:
    """Remove all jobs that wait."""
    await queue.drain()
    return {}


async def obliterate(asked: Asked, queue: Queue) -> Answer:
    """Remove the queue with everything in it; it has to be paused."""
    by_force = bodies.force(asked.body)
    if not await queue.is_paused():
        raise BoardError(400, "QUEUE_NOT_PAUSED")
    try:
        await queue.obliterate(force=by_force)
    except QueueBusy as error:
        raise BoardError(409, "QUEUE_HAS_ACTIVE_JOBS", message=details("QUEUE_HAS_ACTIVE_JOBS_DETAILS")) from error
    return {}


async def set_concurrency(asked: Asked, queue: Queue) -> Answer:
    """Bound the active jobs over all workers; 0 takes the bound away."""
    await queue.set_concurrency(bodies.concurrency(asked.body) or None)
    return {}


async def set_rate(asked: Asked, queue: Queue) -> Answer:
    """Limit how many jobs start per window, or take the limit away."""
    rate = bodies.rate(asked.body)
    await (queue.set_rate(rate.max, rate.duration_ms) if rate else remove_rate(queue))
    return {}


async def release(_: Asked, queue: Queue) -> Answer:
    """Let a queue whose window is used up go on at once."""
    await release_rate(queue)
    return {}


def _writable(asked: Asked) -> list[Queue]:
    return [queue for name, queue in asked.queues.items() if not asked.options.is_read_only(name)]
