"""Ten checks of the queue system on the Redis at hand. Each says in one line what it measured."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from berrante.app.smoke.checking import WITHIN_S, CheckFailed, Outcome, expect
from berrante.app.smoke.lab import QUEUE, Lab, open_lab
from berrante.engine import (
    Backoff,
    Connection,
    Job,
    JobOptions,
    NewJob,
    QueueEvents,
    RateLimit,
    Retention,
    State,
    WorkerOptions,
)
from berrante.engine.notices import JobCompleted, JobFailed, JobsStalled, JobStarted

#: The promise is 50 ms on an idle machine; a smoke test also runs on busy ones.
_LATE_MS: Final = 150


async def _processed(lab: Lab) -> str:
    async def handle(job: Job) -> object:
        return {"echo": job.data["number"]}

    ids = await lab.queue.add_bulk([NewJob("echo", {"number": number}) for number in range(100)])
    async with lab.working(handle, WorkerOptions(concurrency=20)):
        await lab.told(JobCompleted, 100)
    jobs = [await lab.queue.get(job_id) for job_id in ids]
    answers = [job.return_value["echo"] for job in jobs if job is not None]
    expect(answers == list(range(100)), "some jobs have another result than their own")
    return "100 jobs, each with its own result"


async def _priorities(lab: Lab) -> str:
    order: list[str] = []

    async def handle(job: Job) -> object:
        order.append(job.name)
        return None

    for name, priority in (("campaign", 5), ("automation", 3), ("reply", 1), ("urgent", 0)):
        await lab.queue.add(name, {}, JobOptions(priority=priority))
    async with lab.working(handle):
        await lab.told(JobCompleted, 4)
    expect(order == ["urgent", "reply", "automation", "campaign"], f"they ran as {', '.join(order)}")
    return " → ".join(order)


async def _delay(lab: Lab) -> str:
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def handle(_: Job) -> object:
        started.set_result(lab.connection.now_ms())
        return None

    async with lab.working(handle):
        job = await lab.queue.add("later", {}, JobOptions(delay_ms=300))
        late_ms = await asyncio.wait_for(started, WITHIN_S) - job.timestamp_ms - 300
        await lab.told(JobCompleted)
    expect(0 <= late_ms <= _LATE_MS, f"it started {late_ms} ms after its time")
    return f"due after 300 ms, started {late_ms} ms late"


async def _retries(lab: Lab) -> str:
    starts: list[int] = []

    async def handle(job: Job) -> object:
        starts.append(lab.connection.now_ms())
        if job.attempt < 3:
            raise RuntimeError("on purpose")
        return None

    await lab.queue.add("unlucky", {}, JobOptions(attempts=3, backoff=Backoff.exponential(100)))
    async with lab.working(handle):
        await lab.told(JobCompleted)
    waits = [later - earlier for earlier, later in itertools.pairwise(starts)]
    expect(len(waits) == 2 and waits[0] >= 100 and waits[1] >= 200, f"it waited {waits} ms, not 100 and 200")
    return f"waited {waits[0]} and {waits[1]} ms for 100 and 200, then completed"


async def _dead_letters(lab: Lab) -> str:
    async def handle(_: Job) -> object:
        raise RuntimeError("on purpose")

    job = await lab.queue.add("doomed", {"n": 1}, JobOptions(attempts=2, backoff=Backoff.fixed(10)))
    async with lab.working(handle):
        await lab.told(JobFailed)
    letters = await lab.letters.list()
    expect(len(letters) == 1, f"{len(letters)} dead letters for one job")
    origin = letters[0].data
    expect(
        (origin["queue"], origin["jobId"], origin["attemptsMade"]) == (QUEUE, job.id, 2),
        "the dead letter speaks of another job",
    )
    return f"after 2 attempts, reason {origin['failedReason']!r}"


async def _rate(lab: Lab) -> str:
    starts: list[float] = []

    async def handle(_: Job) -> object:
        starts.append(time.monotonic())
        return None

    await lab.queue.add_bulk([NewJob("limited", {})] * 15)
    async with lab.working(handle, WorkerOptions(concurrency=15, rate=RateLimit(max=5, duration_ms=300))):
        await lab.told(JobCompleted, 15)
    took_ms = round((max(starts) - min(starts)) * 1_000)
    expect(took_ms >= 550, f"15 jobs at 5 per 300 ms took {took_ms} ms")
    return f"15 jobs at 5 per 300 ms took {took_ms} ms"


async def _retention(lab: Lab) -> str:
    async def handle(_: Job) -> object:
        return None

    await lab.queue.add_bulk([NewJob("kept", {}, JobOptions(keep_completed=Retention(count=3)))] * 10)
    async with lab.working(handle):
        await lab.told(JobCompleted, 10)
    kept = (await lab.queue.counts())[State.COMPLETED]
    expect(kept == 3, f"{kept} of 10 are kept, not 3")
    return "3 of 10 completed jobs are kept"


async def _stalled(lab: Lab) -> str:
    async def hang(_: Job) -> object:
        return await asyncio.Event().wait()

    async def handle(_: Job) -> object:
        return None

    options = WorkerOptions(lock_ms=400, stalled_interval_ms=200)
    await lab.queue.add("abandoned", {})
    dying = asyncio.create_task(lab.worker(hang, options).run())
    await lab.told(JobStarted)
    dying.cancel()  # as a killed process: nothing is handed back
    await asyncio.gather(dying, return_exceptions=True)
    gone = time.monotonic()
    async with lab.working(handle, options):
        await lab.told(JobsStalled)
        await lab.told(JobCompleted)
    return f"ran again {round((time.monotonic() - gone) * 1_000)} ms after its worker died"


async def _pause(lab: Lab) -> str:
    ran: list[str] = []

    async def handle(job: Job) -> object:
        ran.append(job.name)
        return None

    await lab.queue.pause()
    async with lab.working(handle):
        await lab.queue.add_bulk([NewJob("patient", {})] * 5)
        await asyncio.sleep(0.2)
        waiting = (await lab.queue.counts())[State.WAITING]
        expect(not ran and waiting == 5, f"{len(ran)} jobs ran while the queue was paused")
        await lab.queue.resume()
        await lab.told(JobCompleted, 5)
    return "5 jobs waited, and ran after resume"


async def _events(lab: Lab) -> str:
    async def handle(job: Job) -> object:
        await job.update_progress(50)
        return "fine"

    seen: dict[str, object] = {}

    async def listen() -> None:
        async for event in QueueEvents(QUEUE, lab.connection, prefix=lab.prefix).listen("0"):
            seen[event.name] = event.fields.get("data") or event.fields.get("returnvalue")
            if event.name == "completed":
                return

    await lab.queue.add("watched", {})
    async with lab.working(handle):
        try:
            await asyncio.wait_for(listen(), WITHIN_S)
        except TimeoutError:
            raise CheckFailed(f"only these events came: {', '.join(seen)}") from None
    expect(seen.get("progress") == 50 and seen["completed"] == "fine", f"the events say {seen}")
    return f"{', '.join(seen)}"


QUEUE_CHECKS: Final[tuple[tuple[str, Callable[[Lab], Awaitable[str]]], ...]] = (
    ("jobs are added and processed", _processed),
    ("priority decides the order", _priorities),
    ("a delayed job starts on time", _delay),
    ("a failed run is retried with backoff", _retries),
    ("exhausted attempts make a dead letter", _dead_letters),
    ("the rate limit holds", _rate),
    ("retention removes the oldest", _retention),
    ("a silent worker's job runs again", _stalled),
    ("pause and resume", _pause),
    ("progress and events are told", _events),
)


async def run_queue_checks(connection: Connection) -> AsyncIterator[Outcome]:
    """Run the checks one after the other, each under a prefix of its own that is empty again afterwards."""
    for name, check in QUEUE_CHECKS:
        started = time.monotonic()
        try:
            async with open_lab(connection) as lab:
                detail, passed = await check(lab), True
        except Exception as error:  # noqa: BLE001  whatever goes wrong is the check's result
            detail, passed = f"{type(error).__name__}: {error}", False
        yield Outcome(name=name, passed=passed, detail=detail, took_ms=round((time.monotonic() - started) * 1_000))
