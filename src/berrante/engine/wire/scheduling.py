"""Calls that keep job schedulers."""

from typing import Any

from berrante.engine.wire.codec import Json, encode, pack
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, official


def upsert(
    keys: QueueKeys,
    *,
    scheduler_id: str,
    next_ms: int,
    scheduler: dict[str, Json],
    data: Json,
    template: dict[str, Json],
    job: dict[str, Json],
    now_ms: int,
) -> Call:
    """Register a scheduler and add its next job; the reply is [job id, delay] or a negative code."""
    args: list[Argument] = [
        next_ms,
        pack(scheduler),
        scheduler_id,
        encode(data),
        pack(template),
        pack(job),
        now_ms,
        keys.base,
        "",
    ]
    return Call(official("addJobScheduler-11"), [*_keys(keys), keys.active], args)


def advance(
    keys: QueueKeys, *, scheduler_id: str, next_ms: int, data: Json, job: dict[str, Json], producer_id: str, now_ms: int
) -> Call:
    """Add the job after ``producer_id``, which is being run; nothing happens if another worker did it already."""
    args: list[Argument] = [next_ms, scheduler_id, encode(data), pack(job), now_ms, keys.base, producer_id]
    return Call(official("updateJobScheduler-12"), [*_keys(keys), keys.job(producer_id), keys.active], args)


def remove(keys: QueueKeys, scheduler_id: str) -> Call:
    """Remove a scheduler and its next job; the reply is 0, or 1 if there was none."""
    return Call(official("removeJobScheduler-3"), [keys.repeat, keys.delayed, keys.events], [scheduler_id, keys.base])


def _keys(keys: QueueKeys) -> list[Any]:
    return [
        keys.repeat,
        keys.delayed,
        keys.wait,
        keys.paused,
        keys.meta,
        keys.prioritized,
        keys.marker,
        keys.id,
        keys.events,
        keys.pc,
    ]
