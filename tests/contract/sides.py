"""Both sides in one vocabulary, so that a scenario can be played by either: ``Ours`` and ``Nodes``.

How options become bullmq's words is written here a second time, apart from the engine's codec, which is under test.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from berrante.engine import (
    Connection,
    Job,
    JobOptions,
    NewJob,
    Queue,
    RateLimited,
    Retention,
    Snooze,
    State,
    Unrecoverable,
    Worker,
    WorkerOptions,
)
from berrante.engine.notices import Notice
from tests.contract.peer import Json, Peer, PeerQueue, PeerWorker, Run
from tests.contract.record import Record

QUEUE = "orders"  # one queue is enough for most tests: its prefix is the test's own


@dataclass(frozen=True, kw_only=True, slots=True)
class Script:
    """What a handler does with a job, in this order; both handlers read the same script."""

    hold: bool = False  # until the test releases it
    logs: tuple[str, ...] = ()
    progress: tuple[Json, ...] = ()
    limit_ms: int = 0  # the first time: hand back, and limit the queue
    snooze_ms: int = 0  # the first time: run again later, uncharged
    unrecoverable: str = ""
    fail: str = ""
    fail_times: int = 0
    echo: bool = False  # return {"data": the job's data}
    value: Json = None


Scripts = Mapping[str, Script]


class Running(Protocol):
    """A worker at work."""

    @property
    def runs(self) -> Record[Run]: ...
    async def release(self) -> None: ...


class Side(Protocol):
    """What either engine can do to a queue of the test."""

    name: str
    worker_name: str  # of a worker whose options name none

    async def add(self, name: str, data: Json = None, options: JobOptions | None = None) -> str: ...
    async def add_bulk(self, jobs: Sequence[NewJob]) -> list[str]: ...
    def work(
        self, scripts: Scripts | Script, options: WorkerOptions | None = None
    ) -> AbstractAsyncContextManager[Running]: ...
    async def pause(self) -> None: ...
    async def resume(self) -> None: ...
    async def remove(self, job_id: str) -> None: ...
    async def retry(self, job_id: str) -> None: ...
    async def promote(self, job_id: str) -> None: ...
    async def drain(self) -> None: ...
    async def clean(self, state: State) -> list[str]: ...
    async def obliterate(self) -> None: ...
    async def limit(self, *, max_jobs: int, duration_ms: int) -> None: ...
    async def limit_concurrency(self, jobs: int) -> None: ...
    async def states(self) -> dict[str, int]: ...
    async def workers(self) -> list[str]: ...


@dataclass(slots=True)
class _OurWorker:
    scripts: Scripts
    runs: Record[Run] = field(default_factory=lambda: Record("runs in python"))
    notices: list[Notice] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    async def release(self) -> None:
        self.released.set()

    async def handle(self, job: Job) -> object:
        script = self.scripts.get(job.name) or self.scripts["*"]
        self.runs.add(Run(job_id=job.id, name=job.name, attempt=job.attempt, started=job.attempts_started))
        if script.hold:
            await self.released.wait()
        for line in script.logs:
            await job.log(line)
        for progress in script.progress:
            await job.update_progress(progress)
        if script.limit_ms and job.attempts_started == 1:
            return RateLimited(script.limit_ms)
        if script.snooze_ms and job.attempts_started == 1:
            return Snooze(script.snooze_ms)
        if script.unrecoverable:
            raise Unrecoverable(script.unrecoverable)
        if job.attempts_made < script.fail_times:
            raise RuntimeError(script.fail)
        return {"data": job.data} if script.echo else script.value


class Ours:
    """This engine."""

    name = "python"
    worker_name = "ours-1"

    def __init__(self, connection: Connection, prefix: str, queue: str = QUEUE) -> None:
        self._connection = connection
        self.queue = Queue(queue, connection, prefix=prefix)

    async def add(self, name: str, data: Json = None, options: JobOptions | None = None) -> str:
        return (await self.queue.add(name, data, options)).id

    async def add_bulk(self, jobs: Sequence[NewJob]) -> list[str]:
        return await self.queue.add_bulk(jobs)

    @asynccontextmanager
    async def work(self, scripts: Scripts | Script, options: WorkerOptions | None = None) -> AsyncIterator[Running]:
        options = replace(options or WorkerOptions(), name=(options and options.name) or self.worker_name)
        running = _OurWorker(_by_name(scripts))
        worker = Worker(
            self.queue.name,
            running.handle,
            self._connection,
            options,
            prefix=self.queue.prefix,
            listener=running.notices.append,
        )
        task = asyncio.create_task(worker.run())
        try:
            yield running
        finally:
            await worker.stop(deadline_ms=0)
            await task

    async def pause(self) -> None:
        await self.queue.pause()

    async def resume(self) -> None:
        await self.queue.resume()

    async def remove(self, job_id: str) -> None:
        assert await self.queue.remove(job_id)

    async def retry(self, job_id: str) -> None:
        await self.queue.retry(job_id)

    async def promote(self, job_id: str) -> None:
        await self.queue.promote(job_id)

    async def drain(self) -> None:
        await self.queue.drain()

    async def clean(self, state: State) -> list[str]:
        return await self.queue.clean(state)

    async def obliterate(self) -> None:
        await self.queue.obliterate()

    async def limit(self, *, max_jobs: int, duration_ms: int) -> None:
        await self.queue.set_rate(max_jobs, duration_ms)

    async def limit_concurrency(self, jobs: int) -> None:
        await self.queue.set_concurrency(jobs)

    async def states(self) -> dict[str, int]:
        return {state.value: count for state, count in (await self.queue.counts()).items() if count}

    async def workers(self) -> list[str]:
        return [worker.name or "" for worker in await self.queue.workers()]


class Nodes:
    """npm ``bullmq``."""

    name = "node"
    worker_name = "nodes-1"

    def __init__(self, peer: Peer, prefix: str, queue: str = QUEUE) -> None:
        self._peer = peer
        self.queue: PeerQueue = peer.queue(queue, prefix=prefix)

    async def add(self, name: str, data: Json = None, options: JobOptions | None = None) -> str:
        return await self.queue.add(name, data, **job_options(options or JobOptions()))

    async def add_bulk(self, jobs: Sequence[NewJob]) -> list[str]:
        return await self.queue.add_bulk(
            [{"name": job.name, "data": job.data, "opts": job_options(job.options or JobOptions())} for job in jobs]
        )

    @asynccontextmanager
    async def work(self, scripts: Scripts | Script, options: WorkerOptions | None = None) -> AsyncIterator[Running]:
        options = replace(options or WorkerOptions(), name=(options and options.name) or self.worker_name)
        worker: PeerWorker = await self._peer.worker(
            self.queue.name,
            prefix=self.queue.prefix,
            scripts={name: asdict(script) for name, script in _by_name(scripts).items()},
            options=worker_options(options),
        )
        try:
            yield worker
        finally:
            await worker.stop(force=True)

    async def pause(self) -> None:
        await self.queue.call("pause")

    async def resume(self) -> None:
        await self.queue.call("resume")

    async def remove(self, job_id: str) -> None:
        assert await self.queue.call("remove", job_id) == 1

    async def retry(self, job_id: str) -> None:
        await self.queue.job(
            job_id,
            "retry",
            await self.queue.state(job_id),
            {"resetAttemptsMade": True, "resetAttemptsStarted": True},
        )

    async def promote(self, job_id: str) -> None:
        await self.queue.job(job_id, "promote")

    async def drain(self) -> None:
        await self.queue.call("drain")

    async def clean(self, state: State) -> list[str]:
        ids: list[str] = await self.queue.call("clean", 0, 1_000, state.key)
        return ids

    async def obliterate(self) -> None:
        await self.queue.call("obliterate")

    async def limit(self, *, max_jobs: int, duration_ms: int) -> None:
        await self.queue.call("setGlobalRateLimit", max_jobs, duration_ms)

    async def limit_concurrency(self, jobs: int) -> None:
        await self.queue.call("setGlobalConcurrency", jobs)

    async def states(self) -> dict[str, int]:
        return {state: count for state, count in (await self.queue.counts()).items() if count}

    async def workers(self) -> list[str]:
        clients = await self.queue.call("getWorkers")
        return [client["rawname"].rpartition(":")[2] for client in clients]


def job_options(options: JobOptions) -> dict[str, Any]:
    """Say a job's options in bullmq's words."""
    said: dict[str, Any] = {
        "attempts": options.attempts,
        "delay": options.delay_ms or None,
        "priority": options.priority or None,
        "jobId": options.job_id,
        "lifo": options.lifo or None,
        "removeOnComplete": _keep_job(options.keep_completed),
        "removeOnFail": _keep_job(options.keep_failed),
        "keepLogs": options.keep_logs,
        "stackTraceLimit": options.stack_trace_limit,
    }
    if options.backoff:
        said["backoff"] = {"type": options.backoff.type, "delay": options.backoff.delay_ms}
    return {name: value for name, value in said.items() if value is not None}


def worker_options(options: WorkerOptions) -> dict[str, Any]:
    """Say a worker's options in bullmq's words; ``dead_letters`` has none."""
    said: dict[str, Any] = {
        "name": options.name,
        "concurrency": options.concurrency,
        "lockDuration": options.lock_ms,
        "stalledInterval": options.stalled_interval_ms,
        "maxStalledCount": options.max_stalled,
        "drainDelay": options.block_ms / 1_000,
        "removeOnComplete": _keep(options.keep_completed),
        "removeOnFail": _keep(options.keep_failed),
    }
    if options.rate:
        said["limiter"] = {"max": options.rate.max, "duration": options.rate.duration_ms}
    if options.metrics_minutes:
        said["metrics"] = {"maxDataPoints": options.metrics_minutes}
    return {name: value for name, value in said.items() if value is not None}


def _keep_job(retention: Retention | None) -> dict[str, int] | bool | None:
    if retention == Retention.nothing():
        return True
    return False if retention == Retention.everything() else _keep(retention)


def _keep(retention: Retention | None) -> dict[str, int] | None:
    if retention is None or retention == Retention.everything():
        return None
    said = {"age": retention.age_s, "count": retention.count}
    return {name: value for name, value in said.items() if value is not None}


def _by_name(scripts: Scripts | Script) -> Scripts:
    return {"*": scripts} if isinstance(scripts, Script) else scripts
