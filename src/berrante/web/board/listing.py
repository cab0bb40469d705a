"""The listing that the UI asks for every few seconds: all queues, and a page of jobs of the one that is open."""

import math
from collections.abc import Mapping
from typing import Any

from berrante.engine import Job, Queue
from berrante.engine.inspection import QueueSummary, summarize
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.bodies import LATEST, STATES, Listing, listing
from berrante.web.board.formatting import format_job, without_none
from berrante.web.board.options import BoardOptions


async def list_queues(asked: Asked) -> Answer:
    """List all queues; their number costs no more round trips."""
    wanted = listing(asked.query)
    summaries = await summarize(list(asked.queues.values()))
    opened = asked.queues.get(wanted.queue)
    jobs = await _jobs(opened, wanted) if opened else []
    return {
        "queues": [
            _queue(name, summary, asked.options, wanted, jobs if name == wanted.queue else [])
            for name, summary in zip(asked.queues, summaries, strict=True)
        ]
    }


async def _jobs(queue: Queue, wanted: Listing) -> list[Job]:
    states = STATES if wanted.state is None else (wanted.state,)
    found = await queue.jobs(states, start=wanted.start, end=wanted.end)
    return list({job.id: job for job in reversed(found)}.values())[::-1]  # a job may move while they are read


def _queue(name: str, summary: QueueSummary, options: BoardOptions, wanted: Listing, jobs: list[Job]) -> dict[str, Any]:
    counts = {state.value: summary.counts[state] for state in STATES}
    read_only = options.is_read_only(name)
    shown = {
        "name": name,
        "description": options.descriptions.get(name),
        "statuses": [LATEST, *(state.value for state in STATES)],
        "counts": counts,
        "jobs": [format_job(job) for job in jobs],
        "pagination": _pagination(counts, wanted, is_open=name == wanted.queue),
        "readOnlyMode": read_only,
        "allowRetries": not read_only,
        "allowCompletedRetries": not read_only,
        "isPaused": summary.paused,
        "type": "bullmq",
        "delimiter": "",
        "activeRateLimitTtl": summary.limited_ms,
        "supportsGlobalRateLimit": True,
        "jobSchedulerCount": summary.schedulers,
    }
    return without_none(shown) | {
        "globalConcurrency": summary.concurrency,
        "hasWorkers": None if summary.workers is None else bool(summary.workers),
    }


def _pagination(counts: Mapping[str, int], wanted: Listing, *, is_open: bool) -> dict[str, Any]:
    if not is_open or wanted.state is None:
        return {"pageCount": 1, "range": {"start": 0, "end": wanted.per_page - 1}}
    pages = math.ceil(counts[wanted.state.value] / wanted.per_page)
    return {"pageCount": pages, "range": {"start": wanted.start, "end": wanted.end}}
