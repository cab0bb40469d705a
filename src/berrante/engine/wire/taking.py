"""Calls that take jobs, keep them, and give up those of dead workers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from berrante.engine.options import RateLimit
from berrante.engine.wire.codec import Json, pack
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call, official

#: BullMQ's value of ``limiter`` for a limit set by hand: above any count (Number.MAX_SAFE_INTEGER).
BY_HAND = 2**53 - 1


def take(keys: QueueKeys, *, token: str, lock_ms: int, rate: RateLimit | None, worker: str | None, now_ms: int) -> Call:
    """Move the next job to ``active`` under a lock of ours; read the reply with ``taken``."""
    options: dict[str, Json] = {"token": token, "lockDuration": lock_ms}
    if rate:
        options["limiter"] = {"max": rate.max, "duration": rate.duration_ms}
    if worker:
        options["name"] = worker
    return Call(
        official("moveToActive-11"),
        [
            keys.wait,
            keys.active,
            keys.prioritized,
            keys.events,
            keys.stalled,
            keys.limiter,
            keys.delayed,
            keys.paused,
            keys.meta,
            keys.pc,
            keys.marker,
        ],
        [keys.base, now_ms, pack(options)],
    )


@dataclass(frozen=True, slots=True)
class Taken:
    """What one take gave: a job, or when to ask again (0: not known)."""

    job_id: str | None
    hash: list[bytes]
    limited_ms: int
    next_delayed_ms: int


def taken(reply: object) -> Taken:
    """Read the reply of ``moveToActive``: {hash or 0, id or 0, limit in ms, time of the next delayed job}."""
    hash_, job_id, limited, delayed = cast("tuple[list[bytes] | int, bytes | int, int, int | bytes]", reply)
    if isinstance(hash_, list) and isinstance(job_id, bytes):
        return Taken(job_id.decode(), hash_, 0, 0)
    return Taken(None, [], max(0, limited), int(delayed))


def renew_locks(keys: QueueKeys, *, tokens: Sequence[str], job_ids: Sequence[str], lock_ms: int) -> Call:
    """Renew many locks at once; the reply lists the ids whose lock is lost."""
    return Call(official("extendLocks-1"), [keys.stalled], [keys.base, pack(tokens), pack(job_ids), lock_ms])


def sweep_stalled(keys: QueueKeys, *, max_stalled: int, interval_ms: int, now_ms: int) -> Call:
    """Give jobs whose lock expired back to ``wait``; the reply lists their ids. One check per interval, fleet-wide."""
    return Call(
        official("moveStalledJobsToWait-9"),
        [
            keys.stalled,
            keys.wait,
            keys.active,
            keys.stalled_check,
            keys.meta,
            keys.paused,
            keys.marker,
            keys.events,
            keys.repeat,
        ],
        [max_stalled, keys.base, now_ms, interval_ms],
    )
