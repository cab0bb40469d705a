"""Job schedulers: what there is, and what people do to them."""

import asyncio
from typing import Any
from urllib.parse import unquote

from berrante.engine import Queue, Scheduler
from berrante.web.board import bodies
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.errors import BoardError
from berrante.web.board.formatting import format_job, format_scheduler


async def list_schedulers(asked: Asked) -> Answer:
    """List the schedulers of all queues, or of one."""
    wanted = unquote(asked.query.get("queueName") or "")
    queues = [queue for name, queue in asked.queues.items() if wanted in ("", name)]
    return {"schedulers": [one for found in await asyncio.gather(*map(_of, queues)) for one in found]}


async def remove(asked: Asked, queue: Queue) -> Answer:
    """Remove a scheduler and its next job."""
    if not await queue.schedulers.remove(asked.params["scheduler"]):
        raise _missing()
    return None


async def update(asked: Asked, queue: Queue) -> Answer:
    """Give a scheduler other times; what its jobs are stays."""
    wanted = bodies.schedule(asked.body)
    try:
        found = await queue.schedulers.reschedule(
            asked.params["scheduler"],
            every_ms=wanted.every_ms,
            cron=wanted.cron,
            tz=wanted.tz,
            limit=wanted.limit,
            end_ms=wanted.end_ms,
        )
    except ValueError as error:
        raise BoardError(400, "INVALID_SCHEDULER_PATTERN", message=str(error)) from error
    if not found:
        raise _missing()
    return None


async def run(asked: Asked, queue: Queue) -> Answer:
    """Add one of its jobs now, apart from the schedule."""
    scheduler = await queue.schedulers.get(asked.params["scheduler"])
    if scheduler is None:
        raise _missing()
    template = format_scheduler(scheduler, queue.name).get("template", {})
    options = bodies.job_options(template.get("opts", {}), queue)
    return {"job": format_job(await queue.add(scheduler.name, template.get("data", {}), options))}


async def _of(queue: Queue) -> list[dict[str, Any]]:
    schedulers = (await queue.schedulers.list())[::-1]  # the last to run first, as the UI has them
    runs = await asyncio.gather(*(_runs(queue, scheduler) for scheduler in schedulers))
    return [format_scheduler(scheduler, queue.name) | ran for scheduler, ran in zip(schedulers, runs, strict=True)]


async def _runs(queue: Queue, scheduler: Scheduler) -> dict[str, Any]:
    """Tell the next job, and the last: the next is made in the moment in which the last one begins."""
    waiting = await queue.get(_run_id(scheduler, scheduler.next_ms))
    if waiting is None:
        return {}
    runs: dict[str, Any] = {"nextRunJobId": waiting.id}
    if scheduler.iterations > 1:
        runs["lastRun"] = waiting.timestamp_ms
        # Only an interval says when the last one was due.
        if scheduler.every_ms and (last := await queue.get(_run_id(scheduler, scheduler.next_ms - scheduler.every_ms))):
            runs["lastRunJobId"] = last.id
    return runs


def _run_id(scheduler: Scheduler, due_ms: int) -> str:
    return f"repeat:{scheduler.id}:{due_ms}"


def _missing() -> BoardError:
    return BoardError(404, "JOB_SCHEDULER_NOT_FOUND")
