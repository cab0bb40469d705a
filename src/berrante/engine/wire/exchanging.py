"""One turn of a worker in one call: ``lua/exchange_settle.lua`` and ``lua/exchange_take.lua``, one script."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import assert_never

import msgspec

from berrante.engine.options import RateLimit
from berrante.engine.policy.group_limits import GroupLimits
from berrante.engine.policy.retention import Retention
from berrante.engine.wire.codec import encode, pack
from berrante.engine.wire.endings import Complete, Delay, Ending, Fail, HandBack, Retry
from berrante.engine.wire.grouping import limits_of
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended

#: The answer to a settlement that must go through BullMQ's own script after all: the job has children, or a parent.
USE_OFFICIAL = -100

#: A job with one of these in its hash belongs to a flow, a deduplication or a scheduler.
_UNCOVERED = frozenset({b"parentKey", b"parent", b"deid", b"rjk"})


def covers(hash_: Mapping[bytes, bytes]) -> bool:
    """Tell whether a job may be settled here: the one place that chooses between this and BullMQ's own scripts."""
    return _UNCOVERED.isdisjoint(hash_)


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What a turn gave; ``jobs`` holds ids and flat hashes in turn."""

    answers: list[int]
    jobs: list[bytes | list[bytes]]
    limited_ms: int
    next_delayed_ms: int
    broken: list[bytes]


def exchange(
    keys: QueueKeys,
    records: Sequence[Sequence[Argument]],
    *,
    want: int,
    token: str,
    lock_ms: int,
    worker: str | None,
    rate: RateLimit | None,
    metrics_minutes: int | None,
    letters: QueueKeys | None,
    now_ms: int,
    chance: float = 0.5,
    batch: int = 1,
    group_by: str | None = None,
    groups: GroupLimits | None = None,
    declare: bool = False,
) -> Call:
    """Settle runs, then take up to ``want`` jobs under ``token``; the answer is read with ``Reply(*answer)``.

    ``chance``, 0 to 1, spreads the gaps of groups with jitter; ``batch`` jobs of one group make one run of it;
    ``group_by`` names the key of a job's data that names its group, if nothing else does. ``groups`` are the limits of
    groups that have none of their own, where the server knows of none, or, with ``declare``, from now on.
    """
    header: dict[str, object] = {
        "token": token,
        "lockDuration": lock_ms,
        "want": want,
        "metrics": metrics_minutes or "",
        "settlements": len(records),
        "seed": 1 + int(chance * 2_147_483_645),
    }
    if batch > 1:
        header["batch"] = batch
    if group_by:
        header["by"] = group_by
    if groups:
        header["default"] = limits_of(groups)
        if declare:
            header["declare"] = True
    if worker:
        header["name"] = worker
    if rate:
        header["limiter"] = {"max": rate.max, "duration": rate.duration_ms}
    if letters:
        header["letters"] = letters.base
    args: list[Argument] = [keys.base, now_ms, pack(header)]
    for record in records:
        args += record
    return Call(extended("exchange"), _keys(keys), args)


def record(
    ending: Ending, *, job_id: str, token: str, attempts_made: int, group: str | None = None
) -> Sequence[Argument]:
    """Write one settlement as the script reads it."""
    if group is not None:
        kind, *rest = record(ending, job_id=job_id, token=token, attempts_made=attempts_made)
        return (str(kind).lower(), *rest, group)
    runs = attempts_made + 1
    if isinstance(ending, Complete):  # first, and without match: this is the hot path
        return ("C", job_id, token, runs, ending.value, *_keep(ending.keep))
    match ending:
        case Fail(failure, keep, attempts, _, burial):
            letter = (burial.job_id, burial.name, encode(burial.data)) if burial else ("", "", "")
            stack = encode(failure.stacktrace)
            return (
                "F", job_id, token, runs, failure.reason, stack, *_keep(keep), attempts, *letter,
            )  # fmt: skip
        case Delay(delay_ms, charged, failure):
            said = (failure.reason, encode(failure.stacktrace)) if failure else ("", "")
            return ("D", job_id, token, runs, delay_ms, "1" if charged else "0", *said)
        case Retry(lifo, failure):
            push = "RPUSH" if lifo else "LPUSH"
            return ("R", job_id, token, runs, push, failure.reason, encode(failure.stacktrace))
        case HandBack(rest_ms):
            return ("H", job_id, token, runs, rest_ms)
        case _:
            assert_never(ending)


@lru_cache(maxsize=256)
def _keep(retention: Retention) -> tuple[str, str]:
    return (
        "" if retention.count is None else str(retention.count),
        "" if retention.age_s is None else str(retention.age_s),
    )


@lru_cache(maxsize=64)
def _keys(keys: QueueKeys) -> tuple[str, ...]:
    return (
        keys.wait, keys.active, keys.prioritized, keys.events, keys.stalled, keys.limiter, keys.delayed, keys.paused,
        keys.meta, keys.pc, keys.completed, keys.failed, keys.marker, keys.metrics("completed"),
        keys.metrics("failed"),
    )  # fmt: skip
