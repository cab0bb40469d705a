"""Calls that look at jobs and queues, or change them by an operator's hand."""

from berrante.engine.state import State
from berrante.engine.wire.codec import Json, encode
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Call, official

#: What Lua's tonumber() reads as later than any delay: Number.MAX_VALUE, as Node sends it.
_ANY_TIME = "1.7976931348623157e+308"


def counts(keys: QueueKeys, states: list[str]) -> Call:
    """Count the jobs of each state, by the suffix of its key."""
    return Call(official("getCounts-1"), [keys.base], states)


def state(keys: QueueKeys, job_id: str) -> Call:
    """Tell a job's state, or ``unknown``."""
    return Call(
        official("getStateV2-8"),
        [
            keys.completed,
            keys.failed,
            keys.delayed,
            keys.active,
            keys.wait,
            keys.paused,
            keys.waiting_children,
            keys.prioritized,
        ],
        [job_id, keys.job(job_id)],
    )


def jobs(keys: QueueKeys, states: list[str], *, start: int, end: int, oldest_first: bool) -> Call:
    """Read jobs by state: per state, a list of [id, hash]."""
    return Call(official("getJobs-1"), [keys.base], [start, end, "1" if oldest_first else "0", 5, *states])


def progress(keys: QueueKeys, *, job_id: str, value: Json) -> Call:
    """Store a job's progress and tell listeners."""
    return Call(official("updateProgress-3"), [keys.job(job_id), keys.events, keys.meta], [job_id, encode(value)])


def data(keys: QueueKeys, *, job_id: str, value: Json) -> Call:
    """Replace a job's data."""
    return Call(official("updateData-1"), [keys.job(job_id)], [encode(value)])


def log(keys: QueueKeys, *, job_id: str, line: str, keep: int | None) -> Call:
    """Append a line to a job's log, keeping the last ``keep``; the reply is how many are kept."""
    return Call(
        official("addLog-2"), [keys.job(job_id), keys.logs(job_id)], [job_id, line, "" if keep is None else keep]
    )


def remove(keys: QueueKeys, job_id: str) -> Call:
    """Remove a job with its children; the reply is 0 if it is locked."""
    return Call(official("removeJob-2"), [keys.job(job_id), keys.repeat], [job_id, 1, keys.base])


def pause(keys: QueueKeys) -> Call:
    """Pause a queue for all its workers."""
    return Call(official("pause-7"), _pause_keys(keys, keys.wait, keys.paused), ["paused", "1"])


def resume(keys: QueueKeys, *, first: bool) -> Call:
    """Resume a queue; the reply is how many jobs of version 5's ``paused`` list are left: call again until 0."""
    return Call(official("pause-7"), _pause_keys(keys, keys.paused, keys.wait), ["resumed", "1" if first else "0"])


def _pause_keys(keys: QueueKeys, source: str, target: str) -> list[str]:
    return [source, target, keys.meta, keys.prioritized, keys.events, keys.delayed, keys.marker]


def drain(keys: QueueKeys, *, delayed: bool) -> Call:
    """Remove all jobs that wait, and with ``delayed`` those too."""
    return Call(
        official("drain-5"),
        [keys.wait, keys.paused, keys.delayed, keys.prioritized, keys.repeat],
        [keys.base, "1" if delayed else "0"],
    )


def clean(keys: QueueKeys, state_: State, *, before_ms: int, limit: int) -> Call:
    """Remove up to ``limit`` jobs of a state that are older; the reply lists their ids."""
    return Call(
        official("cleanJobsInSet-3"),
        [keys.state(state_.key), keys.events, keys.repeat],
        [keys.base, before_ms, limit, state_.key],
    )


def obliterate(keys: QueueKeys, *, count: int, force: bool) -> Call:
    """Remove a paused queue bit by bit: 1 = more to do, 0 = done, -1 = not paused, -2 = has active jobs."""
    return Call(official("obliterate-2"), [keys.meta, keys.base], [count, "force" if force else ""])


def reprocess(keys: QueueKeys, *, job_id: str, state_: State, lifo: bool, anew: bool = True) -> Call:
    """Move a finished job back to ``wait``, its attempts counted anew or, as Node does by default, on."""
    reset = "1" if anew else "0"
    return Call(
        official("reprocessJob-9"),
        [
            keys.job(job_id),
            keys.events,
            keys.state(state_.key),
            keys.wait,
            keys.meta,
            keys.active,
            keys.marker,
            keys.prioritized,
            keys.pc,
        ],
        [
            job_id,
            "RPUSH" if lifo else "LPUSH",
            "failedReason" if state_ is State.FAILED else "returnvalue",
            state_.value,
            reset,
            reset,
        ],
    )


def promote(keys: QueueKeys, job_id: str) -> Call:
    """Make a delayed job wait no longer."""
    return Call(
        official("promote-9"),
        [
            keys.delayed,
            keys.wait,
            keys.paused,
            keys.meta,
            keys.prioritized,
            keys.active,
            keys.pc,
            keys.events,
            keys.marker,
        ],
        [keys.base, job_id],
    )


def move_to_wait(keys: QueueKeys, state_: State, *, count: int) -> Call:
    """Move up to ``count`` failed, completed or delayed jobs to ``wait``; the reply is 1 while there are more."""
    return Call(
        official("moveJobsToWait-8"),
        [keys.base, keys.events, keys.state(state_.key), keys.wait, keys.paused, keys.meta, keys.active, keys.marker],
        [count, _ANY_TIME, state_.value],
    )


def finished(keys: QueueKeys, job_id: str) -> Call:
    """Tell how a job ended: [1, return value], [2, reason], [0] if it did not yet, [-1, ...] if it is not there."""
    return Call(official("isFinished-3"), [keys.completed, keys.failed, keys.job(job_id)], [job_id, "1"])


def metrics(keys: QueueKeys, target: str, *, start: int, end: int) -> Call:
    """Read the counts of ``completed`` or ``failed``: [[total, time, total then], points, how many points]."""
    key = keys.metrics(target)
    return Call(official("getMetrics-2"), [key, f"{key}:data"], [start, end])


def change_delay(keys: QueueKeys, job_id: str, *, delay_ms: int, now_ms: int) -> Call:
    """Let a delayed job wait ``delay_ms`` from now."""
    return Call(
        official("changeDelay-4"),
        [keys.delayed, keys.meta, keys.marker, keys.events],
        [delay_ms, now_ms, job_id, keys.job(job_id)],
    )


def change_priority(keys: QueueKeys, job_id: str, *, priority: int, lifo: bool) -> Call:
    """Give a job another priority, which a job that waits is sorted by at once."""
    return Call(
        official("changePriority-7"),
        [keys.wait, keys.paused, keys.meta, keys.prioritized, keys.active, keys.pc, keys.marker],
        [priority, keys.base, job_id, "1" if lifo else "0"],
    )
