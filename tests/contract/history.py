"""One long history of a queue, played by either side, and what it leaves in Redis."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from berrante.engine import Backoff, Connection, JobOptions, NewJob, Queue, Retention, State, WorkerOptions
from tests.contract.observing import finished
from tests.contract.sides import Script, Side

_SCRIPTS = {
    "talks": Script(logs=("one", "two"), progress=(10, {"of": "many"}), value={"said": "olá"}),
    "flaky": Script(fail="not yet", fail_times=2, value="at last"),
    "hopeless": Script(fail="never", fail_times=99),
    "bad": Script(unrecoverable="no such instance"),
    "snoozes": Script(snooze_ms=20),
    "limited": Script(limit_ms=20),
    "*": Script(value=1),
}


async def play(side: Side, queue: Queue) -> AsyncIterator[str]:
    """Play the history; yields the name of each chapter when it is over and nothing moves."""
    for n in range(3):
        await side.add("plain", {"n": n})
    await side.add("named", {"á": "✓"}, JobOptions(job_id="named-1", attempts=4, keep_logs=3))
    await side.add("again", {"n": 0}, JobOptions(job_id="named-1"))
    await side.add("urgent", None, JobOptions(job_id="urgent", lifo=True))
    for n, priority in enumerate((7, 2, 7)):
        await side.add("ranked", n, JobOptions(job_id=f"ranked-{n}", priority=priority))
    await side.add("later", [], JobOptions(job_id="later", delay_ms=3_600_000, backoff=Backoff.exponential(2_000)))
    await side.add("later", [], JobOptions(job_id="later-ranked", delay_ms=7_200_000, priority=4))
    await side.add_bulk(
        [
            NewJob("bulk", "x", JobOptions(job_id="bulk-1", keep_completed=Retention(age_s=3_600, count=100))),
            NewJob("bulk", "y", JobOptions(job_id="bulk-2", keep_completed=Retention.nothing(), priority=1)),
        ]
    )
    yield "added"

    everything = ["1", "2", "3", "named-1", "urgent", "ranked-0", "ranked-1", "ranked-2", "bulk-1", "bulk-2"]
    options = WorkerOptions(name="worker-1", metrics_minutes=5)
    async with side.work(_SCRIPTS, options):
        await finished(queue, *everything)
    yield "worked"

    # One after the other: jobs that come back at a time of their own would race, and each history be another.
    async with side.work(_SCRIPTS, options):
        for name, said in (
            ("talks", JobOptions(job_id="talks", keep_logs=1)),
            ("flaky", JobOptions(job_id="flaky", attempts=3, backoff=Backoff.fixed(20))),
            ("flaky", JobOptions(job_id="flaky-slower", attempts=3, backoff=Backoff.exponential(10), priority=2)),
            ("flaky", JobOptions(job_id="flaky-at-once", attempts=3, stack_trace_limit=1)),
            ("flaky", JobOptions(job_id="flaky-lifo", attempts=3, lifo=True)),
            ("flaky", JobOptions(job_id="flaky-ranked", attempts=4, priority=9)),
            ("hopeless", JobOptions(job_id="hopeless", attempts=2)),
            ("hopeless", JobOptions(job_id="hopeless-gone", keep_failed=Retention.nothing())),
            ("bad", JobOptions(job_id="bad", attempts=5, backoff=Backoff.exponential(10))),
            ("snoozes", JobOptions(job_id="snoozes")),
        ):
            await side.add(name, {}, said)
            await finished(queue, str(said.job_id))
    yield "failed"

    await side.add("limited", {}, JobOptions(job_id="limited"))
    async with side.work(_SCRIPTS, options):
        await finished(queue, "limited")
    yield "limited"

    async with side.work({"*": Script(hold=True, value="held")}, WorkerOptions(name="worker-2")) as w:
        await side.add("held", {}, JobOptions(job_id="held-1"))
        await w.runs.first(lambda run: run.job_id == "held-1")
        yield "active"
        await w.release()
        await finished(queue, "held-1")

    await side.pause()
    await side.add("while paused", {}, JobOptions(job_id="paused-1"))
    await side.add("while paused", {}, JobOptions(job_id="paused-2", priority=3))
    yield "paused"
    await side.resume()
    yield "resumed"

    await side.promote("later")
    await side.promote("later-ranked")
    await side.retry("hopeless")
    await side.retry("bad")
    await side.retry("talks")
    await side.remove("flaky")
    await side.remove("paused-1")
    yield "put back"

    await side.clean(State.COMPLETED)
    await side.add("later", {}, JobOptions(job_id="stays", delay_ms=3_600_000))
    await side.drain()
    yield "drained"


#: Left out of a dump, and why.
_APART = {
    "marker",  # whether a wake-up is left over depends on who read last
    "stalled-check",  # a timer that is gone within the stalled interval; Node looks at once, we after an interval
}


async def dump(connection: Connection, queue: Queue) -> dict[str, Any]:
    """Read every key of the queue, with times, tokens and traces replaced by what kind of thing they are."""
    redis: Any = connection.redis  # redis-py's types say str or bytes of everything
    left: dict[str, Any] = {}
    for raw in sorted([key async for key in redis.scan_iter(match=queue.keys.base + "*", count=1_000)]):
        key = _TIME.sub("(time)", raw.decode().removeprefix(queue.keys.base))
        while key in left:  # the jobs of a scheduler differ in time only
            key += " and then"
        if key in _APART:
            continue
        kind = (await redis.type(raw)).decode()
        match kind:
            case "string":
                left[key] = _text(await redis.get(raw))
            case "list":
                left[key] = [_text(item) for item in await redis.lrange(raw, 0, -1)]
            case "set":
                left[key] = {_text(item) for item in await redis.smembers(raw)}
            case "zset":
                scored = await redis.zrange(raw, 0, -1, withscores=True)
                # By score, but those that only differ in time by name: their order is that of the clock.
                left[key] = sorted((_score(key, score), _text(member)) for member, score in scored)
            case "hash":
                left[key] = {
                    _text(name): _field(_text(name), value.decode())
                    for name, value in (await redis.hgetall(raw)).items()
                }
            case "stream":
                entries = await redis.xrange(raw)
                left[key] = [
                    {name.decode(): _field(name.decode(), value.decode()) for name, value in entry.items()}
                    for _, entry in entries
                    if entry[b"event"] != b"drained"  # Node is silent while jobs are delayed, BullMQ's script is not
                ]
            case _:
                raise AssertionError(f"{key} is of the unforeseen type {kind}")
    return left


_JSON_FIELDS = {"data", "opts", "returnvalue", "progress"}
_TIME = re.compile(r"(?<!\d)(1[6-9]\d{11}|2\d{12})(?!\d)")
_TOKEN = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(:\d+)+")


def _field(name: str, value: str) -> Any:
    if name in _JSON_FIELDS:
        return _timeless(json.loads(value))  # parsed: the order of an object's members is no part of the contract
    if name == "stacktrace":
        return f"{len(json.loads(value))} traces"
    return _text(value.encode())


def _timeless(value: Any) -> Any:
    match value:
        case dict():
            return {name: _timeless(item) for name, item in value.items()}
        case list():
            return [_timeless(item) for item in value]
        case str():
            return _TIME.sub("(time)", value)
        case int() if _TIME.fullmatch(str(value)):
            return "(time)"
    return value


def _text(raw: bytes) -> str:
    return _TIME.sub("(time)", _TOKEN.sub("(token)", raw.decode()))


def _score(key: str, score: float) -> tuple[float, str]:
    timed = key == "delayed" or _TIME.fullmatch(str(int(score)))
    return (0, "(time)") if timed else (score, "")
