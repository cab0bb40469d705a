"""A queue: where jobs are added, looked at, and kept in order by an operator."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from berrante.engine.cancellation import ask
from berrante.engine.errors import JobMissing, JobNotInState, QueueBusy
from berrante.engine.job import Job
from berrante.engine.options import MAX_PRIORITY, JobOptions
from berrante.engine.queue_view import QueueView
from berrante.engine.schedulers import Schedulers
from berrante.engine.state import State
from berrante.engine.tracing import carrying
from berrante.engine.transaction import run_together
from berrante.engine.whereabouts import group_of, remove_job, rest_ms
from berrante.engine.wire import adding, administering, grouping
from berrante.engine.wire.codec import Json, encode, write_options
from berrante.engine.wire.codes import Code, raise_for

_BULK: Final = 1_000  # per call: some 5 ms of Redis's time, during which it does nothing else


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to add with ``add_bulk``; without options the queue's defaults hold."""

    name: str
    data: Json
    options: JobOptions | None = None


@dataclass(frozen=True, slots=True)
class Queue(QueueView):
    """One queue under ``prefix``; making one does no I/O.

    ``defaults`` are the options of jobs that are added without any of their own. ``trace_context`` is called at each
    add and returns the trace that the jobs belong to; see ``tracing``.

    >>> from berrante.engine import Connection
    >>> connection = Connection.from_url("redis://127.0.0.1:6379/0")
    >>> queue = Queue("message", connection, defaults=JobOptions(attempts=4))
    """

    @property
    def schedulers(self) -> Schedulers:
        """The queue's job schedulers."""
        return Schedulers(self.connection, self.keys)

    async def add(self, name: str, data: Json, options: JobOptions | None = None) -> Job:
        """Add a job, durable when this returns as far as the server is.

        A ``job_id`` that is already there makes this a no-op that returns the same id; so does ``deduplication``, with
        the id of the job that is kept.
        """
        options = carrying(self._trace(), options or self.defaults)
        now = self.connection.now_ms()
        answer = await self.connection.run(adding.add(self.keys, name=name, data=data, options=options, now_ms=now))
        job_id = _added(answer, name)
        hash_ = {
            b"name": name.encode(),
            b"data": encode(data),
            b"opts": encode(write_options(options)),
            b"timestamp": b"%d" % now,
            b"delay": b"%d" % options.delay_ms,
            b"priority": b"%d" % options.priority,
        }
        if options.group is not None:
            hash_[b"gid"] = options.group.encode()
        return Job(job_id, hash_, connection=self.connection, keys=self.keys)

    async def add_bulk(self, jobs: Sequence[NewJob]) -> list[str]:
        """Add many jobs in order, a thousand per call, and return their ids.

        Each thousand is added wholly or not at all. If the connection breaks, whether the last was is not known: give
        jobs a ``job_id`` and call again.
        """
        now, trace = self.connection.now_ms(), self._trace() if any(map(self._is_to_carry, jobs)) else None
        ids: list[str] = []
        for start in range(0, len(jobs), _BULK):
            part = [(job.name, job.data, job.options or self.defaults) for job in jobs[start : start + _BULK]]
            if trace is not None:
                part = [(name, data, carrying(trace, options)) for name, data, options in part]
            for answer in await run_together(self.connection, adding.add_in_order(self.keys, part, now_ms=now)):
                ids.extend(job_id.decode() for job_id in (answer if isinstance(answer, list) else [answer]))
        return ids

    async def remove(self, job_id: str) -> bool:
        """Remove a job with its children; False if it is not there. Raises ``JobNotInState`` while it is active."""
        if not await self.connection.redis.exists(self.keys.job(job_id)):
            return False
        answer = await remove_job(self.connection, self.keys, job_id)
        if answer != 1:
            needed = "free of a lock" if answer == 0 else "other than a scheduler's next job"
            raise JobNotInState(job_id, needed=needed, during="remove")
        return True

    async def cancel(self, job_id: str, *, reason: str = "cancelled") -> bool:
        """Stop a job for good, from any process; False if it is not there or has finished.

        One that has not begun is removed, with its children, and leaves no trace: BullMQ knows no way from there to
        ``failed``. Of an active one the worker is told: its handler is cancelled, and the job ends as with
        ``Cancel(reason)``, failed for good without a dead letter; unless its handler completes it all the same. A
        worker that is away hears of it when it is back, and if the run ends first and the job is to run again, it does
        not. Node's workers listen to nothing of the kind: there the current run goes on to its end.

        Raises ``JobNotInState`` for the next job of a scheduler, and while a child is active.
        """
        return await ask(self.connection, self.keys, job_id, reason=reason)

    async def retry(self, job_id: str) -> None:
        """Run a finished job again, its attempts counted anew; raises ``JobMissing`` or ``JobNotInState``."""
        job, state = await self.get(job_id), await self.state(job_id)
        if job is None:
            raise JobMissing(job_id, during="retry")
        if state not in (State.FAILED, State.COMPLETED):
            raise JobNotInState(job_id, needed="failed or completed", during="retry")
        answer: int = await self.connection.run(
            administering.reprocess(self.keys, job_id=job_id, state_=state, lifo=job.options.lifo)
        )
        if answer < 0:
            raise_for(answer, job_id=job_id, during="retry", state=state)

    async def promote(self, job_id: str) -> None:
        """Let a delayed job wait no longer; raises ``JobNotInState``."""
        answer: int = await self.connection.run(administering.promote(self.keys, job_id))
        if answer < 0:
            raise_for(answer, job_id=job_id, during="promote", state=State.DELAYED)

    async def change_delay(self, job_id: str, delay_ms: int) -> None:
        """Let a delayed job wait ``delay_ms`` from now on; raises ``JobMissing`` or ``JobNotInState``."""
        if delay_ms < 0:
            raise ValueError(f"delay_ms is {delay_ms}: give milliseconds, 0 or more")
        now = self.connection.now_ms()
        answer: int = await self.connection.run(
            administering.change_delay(self.keys, job_id, delay_ms=delay_ms, now_ms=now)
        )
        if answer < 0:
            raise_for(answer, job_id=job_id, during="change_delay", state=State.DELAYED)

    async def change_priority(self, job_id: str, priority: int, *, lifo: bool = False) -> None:
        """Give a job another priority, 0 being none; with ``lifo`` it goes before its equals. Raises ``JobMissing``.

        A job that waits is sorted anew at once; one in another state keeps it for when it waits.
        """
        if not 0 <= priority <= MAX_PRIORITY:
            raise ValueError(f"priority is {priority}: give 0 (first) to {MAX_PRIORITY} (last)")
        if group := await group_of(self.connection, self.keys, job_id):
            now = self.connection.now_ms()
            call = grouping.reorder(self.keys, job_id, group, priority=priority, first=lifo, now_ms=now)
            if await self.connection.run(call):
                return
        answer: int = await self.connection.run(
            administering.change_priority(self.keys, job_id, priority=priority, lifo=lifo)
        )
        if answer < 0:
            raise_for(answer, job_id=job_id, during="change_priority")

    async def remove_deduplication_key(self, deduplication_id: str) -> bool:
        """Let the next job of that ``Deduplication.id`` be added; False if there is nothing in its way."""
        return bool(await self.connection.redis.delete(self.keys.state(f"de:{deduplication_id}")))

    async def retry_all(self, state: State = State.FAILED, *, batch: int = 1_000) -> None:
        """Run all failed (or completed) jobs again, or let all delayed ones wait no longer."""
        while await self.connection.run(administering.move_to_wait(self.keys, state, count=batch)) == 1:
            pass

    async def pause(self) -> None:
        """Let no worker take another job, until ``resume``; active jobs finish."""
        await self.connection.run(administering.pause(self.keys))

    async def resume(self) -> None:
        """Let workers take jobs again; what version 5 left in ``paused`` comes back in order."""
        first = True
        while await self.connection.run(administering.resume(self.keys, first=first)):
            first = False
        await self.groups.ring()

    async def is_paused(self) -> bool:
        """Tell whether the queue is paused."""
        return bool(await self.connection.redis.hexists(self.keys.meta, "paused"))

    async def set_rate(self, max_jobs: int, duration_ms: int) -> None:
        """Limit the whole queue, over the limit that workers were given: BullMQ's global rate limit."""
        await self.connection.redis.hset(self.keys.meta, mapping={"max": max_jobs, "duration": duration_ms})

    async def set_concurrency(self, jobs: int | None) -> None:
        """Bound the active jobs over all workers: BullMQ's global concurrency; None removes the bound."""
        redis = self.connection.redis
        await (
            redis.hset(self.keys.meta, "concurrency", str(jobs)) if jobs else redis.hdel(self.keys.meta, "concurrency")
        )

    async def drain(self, *, delayed: bool = False) -> None:
        """Remove all jobs that wait, and with ``delayed`` those too; active and finished ones stay."""
        await self.connection.run(administering.drain(self.keys, delayed=delayed))
        await self.groups.clean_all()

    async def clean(self, state: State, *, older_than_ms: int = 0, limit: int = 1_000) -> list[str]:
        """Remove up to ``limit`` jobs of a state that are older than ``older_than_ms`` and return their ids."""
        before = self.connection.now_ms() - older_than_ms
        removed: list[bytes] = await self.connection.run(
            administering.clean(self.keys, state, before_ms=before, limit=limit)
        )
        ids = [job_id.decode() for job_id in removed]
        if state is State.WAITING and len(ids) < limit:
            ids += await self.groups.clean_all(before_ms=before, limit=limit - len(ids))
        return ids

    async def obliterate(self, *, force: bool = False, batch: int = 1_000) -> None:
        """Remove the queue with everything in it; pauses it first.

        Raises ``QueueBusy`` while jobs are active, unless ``force``: then their outcomes will be refused.
        """
        await self.pause()
        await self.groups.clean_all()
        while True:
            answer = await self.connection.run(administering.obliterate(self.keys, count=batch, force=force))
            if answer == Code.LOCK_MISSING:  # -2 has its own meaning in this script
                raise QueueBusy(self.name, reason="has active jobs: wait for them, or use force")
            if answer == 0:
                await self.groups.forget()
                return

    def _is_to_carry(self, job: NewJob) -> bool:
        options = job.options or self.defaults
        return options.trace_context is None and not options.omit_trace_context

    def _trace(self) -> str | None:
        return self.trace_context() if self.trace_context else None

    async def rest_ms(self, job_id: str) -> int | None:
        """Return how many ms a job still rests: 0 if it waits or runs, None if it is finished or not there."""
        return await rest_ms(self.connection, self.keys, job_id)

    def with_id(self, job_id: str, **changes: Any) -> JobOptions:  # noqa: ANN401  fields of JobOptions
        """Return the queue's default options with an id, and with other changes.

        >>> options = queue.with_id("order-7", group="sales")  # doctest: +SKIP
        """
        return replace(self.defaults, job_id=job_id, **changes)


def _added(answer: object, name: str) -> str:
    if isinstance(answer, Exception):
        raise answer
    if isinstance(answer, list):
        (answer,) = answer
    if isinstance(answer, int):
        raise_for(answer, job_id=name, during="add")
    assert isinstance(answer, bytes)
    return answer.decode()
