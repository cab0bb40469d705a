"""A trace goes through the queue in BullMQ's own field, and into the run."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import pytest

from berrante.engine import Batch, Connection, Job, JobOptions, NewJob, Queue, Worker, WorkerOptions
from berrante.engine.notices import JobCompleted, JobFailed
from tests.probes import Probe

PARENT = '{"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}'
OTHER = '{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'

current: ContextVar[str | None] = ContextVar("current", default=None)


@pytest.fixture
def traced(connection: Connection, prefix: str) -> Queue:
    return Queue("q", connection, prefix=prefix, trace_context=current.get)


@contextmanager
def _within(trace: str) -> Iterator[None]:
    token = current.set(trace)
    try:
        yield
    finally:
        current.reset(token)


async def _wire(queue: Queue, job_id: str) -> dict[str, object]:
    raw = await queue.connection.redis.hget(queue.keys.job(job_id), "opts")
    assert raw is not None
    options: dict[str, object] = json.loads(raw)
    return options


async def _trace(queue: Queue, job_id: str) -> str | None:
    job = await queue.get(job_id)
    assert job is not None
    return job.trace_context


async def test_a_job_carries_the_trace_in_which_it_was_added(traced: Queue) -> None:
    with _within(PARENT):
        added = await traced.add("a", 1, JobOptions(attempts=3))
    assert await _wire(traced, added.id) == {"attempts": 3, "tm": PARENT}
    assert added.trace_context == await _trace(traced, added.id) == PARENT


async def test_outside_of_any_trace_nothing_is_written(traced: Queue, queue: Queue) -> None:
    await traced.add("a", 1)
    with _within(PARENT):
        await queue.add("a", 1)  # this queue has no hook
    assert await _wire(traced, "1") == await _wire(queue, "2") == {"attempts": 1}
    assert await _trace(queue, "2") is None


async def test_many_jobs_carry_it_but_those_that_have_another_or_want_none(traced: Queue) -> None:
    with _within(PARENT):
        await traced.add_bulk(
            [
                NewJob("a", 1),
                NewJob("b", 2, JobOptions(trace_context=OTHER)),
                NewJob("c", 3, JobOptions(omit_trace_context=True)),
            ]
        )
    assert [await _trace(traced, str(n)) for n in (1, 2, 3)] == [PARENT, OTHER, None]
    assert await _wire(traced, "3") == {"attempts": 1, "omc": True}


async def test_a_trace_that_is_no_text_is_no_reason_to_fail_a_job(queue: Queue, connection: Connection) -> None:
    await queue.add("a", 1)
    await connection.redis.hset(queue.keys.job("1"), "opts", '{"attempts":2,"tm":{"some":"other tracer"}}')
    job = await queue.get("1")
    assert job is not None
    assert (job.trace_context, job.options.attempts) == (None, 2)


@pytest.mark.parametrize("batch", [None, Batch(size=2)])
async def test_a_run_happens_inside_of_what_is_put_around_it(
    traced: Queue, connection: Connection, probe: Probe, batch: Batch | None
) -> None:
    spans: list[tuple[str, str | None, str]] = []
    seen: list[str | None] = []

    @contextmanager
    def around(job: Job) -> Iterator[None]:
        try:
            with _within(f"span of {job.id}"):
                yield
        except ValueError as error:
            spans.append((job.id, job.trace_context, str(error)))
            raise
        spans.append((job.id, job.trace_context, "ok"))

    async def one(job: Job) -> None:
        seen.append(current.get())
        if job.data == "bad":
            raise ValueError("no")

    async def many(jobs: Sequence[Job]) -> dict[str, object]:
        return {job.id: ValueError("no") for job in jobs if job.data == "bad"}

    with _within(PARENT):
        await traced.add_bulk([NewJob("a", "good"), NewJob("b", "bad")])
    worker = Worker(
        "q",
        many if batch else one,
        connection,
        WorkerOptions(batch=batch),
        prefix=traced.prefix,
        listener=probe,
        around=around,
    )
    await worker.work_off()
    assert spans == [("1", PARENT, "ok"), ("2", PARENT, "no")]
    assert seen == ([] if batch else ["span of 1", "span of 2"])
    assert (len(probe.of(JobCompleted)), len(probe.of(JobFailed))) == (1, 1)
    assert current.get() is None
