"""What the UI reads of a queue, a job and the server, beside the listing."""

from collections.abc import Mapping
from typing import Any

from berrante.engine import Job, Queue, State
from berrante.engine.inspection import connected_workers, server_facts
from berrante.engine.operating import rate_of
from berrante.web.board.asked import Answer, Asked
from berrante.web.board.bodies import default_options
from berrante.web.board.formatting import format_job


async def redis_stats(asked: Asked) -> Answer:
    """Tell about the server; {} if no queue is shown."""
    queue = next(iter(asked.queues.values()), None)
    if queue is None:
        return {}
    facts = await server_facts(queue.connection)
    return {
        "backend": "redis",
        "version": str(facts.get("redis_version", "")),
        "mode": facts.get("redis_mode") or facts.get("server_mode") or "standalone",
        "port": _number(facts, "tcp_port"),
        "os": str(facts.get("os", "")),
        "uptime": _number(facts, "uptime_in_seconds"),
        "memory": {
            "total": _number(facts, "maxmemory") or _number(facts, "total_system_memory"),
            "used": _number(facts, "used_memory"),
            "fragmentationRatio": _number(facts, "mem_fragmentation_ratio"),
            "peak": _number(facts, "used_memory_peak"),
        },
        "clients": {
            "connected": _number(facts, "connected_clients"),
            "blocked": _number(facts, "blocked_clients"),
        },
    }


async def metrics(_: Asked, queue: Queue) -> Answer:
    """Tell what the queue's workers counted per minute."""
    return {state.value: await _metrics(queue, state) for state in (State.COMPLETED, State.FAILED)}


async def workers(_: Asked, queue: Queue) -> Answer:
    """List the queue's workers, or null if the server forbids to ask."""
    found = await connected_workers(queue)
    if found is None:
        return {"workers": None}
    return {
        "workers": [
            {"id": worker.id, "name": worker.name, "addr": worker.address, "age": worker.age_s} for worker in found
        ]
    }


async def job_defaults(_: Asked, queue: Queue) -> Answer:
    """Tell the options of jobs that are added without any."""
    return default_options(queue)


async def job_schema(asked: Asked, queue: Queue) -> Answer:
    """Return the JSON Schema of the queue's jobs, or {}."""
    return dict(asked.options.schemas.get(queue.name, {}))


async def rate_limit(_: Asked, queue: Queue) -> Answer:
    """Tell the rate that stands on the queue itself."""
    rate = await rate_of(queue)
    return {"supported": True, "rateLimit": {"max": rate.max, "duration": rate.duration_ms} if rate else None}


async def job(_: Asked, queue: Queue, job: Job) -> Answer:
    """Return a job, and where it stands."""
    return {"job": format_job(job), "status": await queue.state(job.id) or "unknown"}


async def job_logs(asked: Asked, queue: Queue) -> Answer:
    """Return a job's log lines; of one that is not there, none."""
    return await queue.logs(asked.params["job"])


async def _metrics(queue: Queue, state: State) -> dict[str, Any]:
    found = await queue.metrics(state)
    return {
        "meta": {"count": found.total, "prevTS": found.counted_at_ms, "prevCount": found.counted},
        "data": list(found.per_minute),
        "count": found.minutes,
    }


def _number(facts: Mapping[str, Any], name: str) -> float:
    value = facts.get(name, 0)
    return value if isinstance(value, int | float) else 0
