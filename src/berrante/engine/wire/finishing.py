"""The end of a run, one job at a time, through BullMQ's own scripts: for jobs that ``exchanging`` does not cover.

The tests run the same histories through both and compare what stands in Redis.
"""

from typing import Literal, assert_never

from berrante.engine.policy.retention import Retention
from berrante.engine.wire.adding import STANDARD, standard_keys
from berrante.engine.wire.codec import encode, keep_jobs, pack
from berrante.engine.wire.endings import Burial, Complete, Delay, Ending, Fail, Failure, HandBack, Retry
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, Script, both, official
from berrante.engine.wire.taking import BY_HAND

_FINISH = "moveToFinished-14"
_REST = Script.of("rest", b"return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])")


def end(
    keys: QueueKeys,
    ending: Ending,
    *,
    job_id: str,
    token: str,
    metrics_minutes: int | None,
    letters: QueueKeys | None,
    now_ms: int,
) -> list[Call]:
    """Say how a run ended; the last call's reply is 0 or more, or an error code of BullMQ."""
    tail: tuple[Argument, ...]
    match ending:
        case Complete():
            options = _options(token, ending.keep, ending.attempts, metrics_minutes)
            tail = ("returnvalue", ending.value, "completed", "", keys.base, pack(options), "")
            return [Call(official(_FINISH), _finish_keys(keys, job_id, "completed"), [job_id, now_ms, *tail])]
        case Fail():
            options = _options(token, ending.keep, ending.attempts, metrics_minutes) | ending.parent_options
            failure = ending.failure
            tail = ("failedReason", failure.reason, "failed", "", keys.base, pack(options), _fields(failure))
            failing = Call(official(_FINISH), _finish_keys(keys, job_id, "failed"), [job_id, now_ms, *tail])
            return [_and_bury(failing, letters, ending.burial, now_ms) if letters and ending.burial else failing]
        case Delay():
            return [_delay(keys, ending, job_id, token, now_ms)]
        case Retry():
            return [_retry(keys, ending, job_id, token, now_ms)]
        case HandBack():
            return [*_rest(keys, ending), _hand_back(keys, job_id, token)]
        case _:
            assert_never(ending)


def _and_bury(failing: Call, letters: QueueKeys, burial: Burial, now_ms: int) -> Call:
    letter = _letter(letters, burial, now_ms)
    return Call(
        both("failAndBury", _FINISH, STANDARD),
        [*failing.keys, *standard_keys(letters)],
        [len(failing.args), *failing.args, *letter],
    )


def _letter(letters: QueueKeys, burial: Burial, now_ms: int) -> list[Argument]:
    return [
        pack((letters.base, burial.job_id, burial.name, now_ms, None, None, None, None, None)),
        encode(burial.data),
        pack({"attempts": 1, "jobId": burial.job_id}),
    ]


def _delay(keys: QueueKeys, ending: Delay, job_id: str, token: str, now_ms: int) -> Call:
    fields = _fields(ending.failure) if ending.failure else ""
    return Call(
        official("moveToDelayed-11"),
        [
            keys.marker, keys.active, keys.prioritized, keys.delayed, keys.job(job_id), keys.events, keys.meta,
            keys.stalled, keys.wait, keys.limiter, keys.pc,
        ],
        [keys.base, now_ms, job_id, token, ending.delay_ms, "0" if ending.charged else "1", fields, "0"],
    )  # fmt: skip


def _retry(keys: QueueKeys, ending: Retry, job_id: str, token: str, now_ms: int) -> Call:
    return Call(
        official("retryJob-11"),
        [
            keys.active, keys.wait, keys.paused, keys.job(job_id), keys.meta, keys.events, keys.delayed,
            keys.prioritized, keys.pc, keys.marker, keys.stalled,
        ],
        [keys.base, now_ms, "RPUSH" if ending.lifo else "LPUSH", job_id, token, _fields(ending.failure)],
    )  # fmt: skip


def _rest(keys: QueueKeys, ending: HandBack) -> list[Call]:
    # The limit comes before the job goes back, or another worker takes it at once.
    return [Call(_REST, [keys.limiter], [BY_HAND, ending.rest_ms])] if ending.rest_ms else []


def _hand_back(keys: QueueKeys, job_id: str, token: str) -> Call:
    return Call(
        official("moveJobFromActiveToWait-9"),
        [
            keys.active, keys.wait, keys.stalled, keys.paused, keys.meta, keys.limiter, keys.prioritized,
            keys.marker, keys.events,
        ],
        [job_id, token, keys.job(job_id)],
    )  # fmt: skip


def _finish_keys(keys: QueueKeys, job_id: str, target: Literal["completed", "failed"]) -> list[str]:
    return [
        keys.wait, keys.active, keys.prioritized, keys.events, keys.stalled, keys.limiter, keys.delayed, keys.paused,
        keys.meta, keys.pc, keys.state(target), keys.job(job_id), keys.metrics(target), keys.marker,
    ]  # fmt: skip


def _options(token: str, keep: Retention, attempts: int, metrics_minutes: int | None) -> dict[str, object]:
    return {
        "token": token,
        "keepJobs": keep_jobs(keep),
        "attempts": attempts,
        "maxMetricsSize": metrics_minutes or "",
    }


def _fields(failure: Failure) -> bytes:
    return pack(("failedReason", failure.reason, "stacktrace", encode(failure.stacktrace).decode()))
