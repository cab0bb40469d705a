"""What an operator reads of a queue and changes in it: metrics, logs, priorities, delays."""

import pytest

from berrante.engine import Connection, Job, JobMissing, JobNotInState, JobOptions, NewJob, Queue, State, WorkerOptions
from berrante.engine.notices import JobCompleted
from tests.probes import Probe, working

LONG_MS = 600_000
MINUTE_MS = 60_000


async def _order(queue: Queue, state: State) -> list[str]:
    return [job.id for job in await queue.jobs([state], oldest_first=True)]


async def test_metrics_count_in_all_and_by_the_minute(redis_url: str, prefix: str, probe: Probe) -> None:
    now = [28_333_333 * MINUTE_MS]
    async with Connection.from_url(redis_url, clock=lambda: now[0]) as connection:
        queue = Queue("q", connection, prefix=prefix)
        empty = await queue.metrics(State.COMPLETED)
        assert (empty.total, empty.per_minute, empty.minutes) == (0, (), 0)

        async def done(job: Job) -> None:
            return None

        options = WorkerOptions(metrics_minutes=10)
        async with working("q", done, connection, options, prefix=prefix, probe=probe):
            for ended, jobs in ((3, 3), (5, 2), (6, 1)):
                await queue.add_bulk([NewJob("a", n) for n in range(jobs)])
                await probe.seen(JobCompleted, ended)
                now[0] += MINUTE_MS
        counted = await queue.metrics(State.COMPLETED)
        assert counted.total == 6
        assert counted.per_minute[:2] == (2, 3)
        assert counted.minutes == len(counted.per_minute)
        assert counted.counted_at_ms == now[0] - MINUTE_MS
        assert (await queue.metrics(State.COMPLETED, start=1, end=1)).per_minute == (3,)
        assert (await queue.metrics(State.FAILED)).total == 0


async def test_metrics_of_a_state_that_is_not_counted_are_refused(queue: Queue) -> None:
    with pytest.raises(ValueError, match="no metrics of 'active'"):
        await queue.metrics(State.ACTIVE)


async def test_logs_are_read_by_id(queue: Queue) -> None:
    job = await queue.add("a", 1)
    for line in ("one", "dois", "três"):
        await job.log(line)
    assert await queue.logs(job.id) == ["one", "dois", "três"]
    assert await queue.logs(job.id, 1, 1) == ["dois"]
    assert await queue.logs("nothing") == []


async def test_a_job_that_waits_goes_where_its_new_priority_puts_it(queue: Queue) -> None:
    first, second, third = await queue.add_bulk([NewJob("a", n, JobOptions(priority=5)) for n in range(3)])
    plain = (await queue.add("b", 1)).id
    await queue.change_priority(plain, 9)
    await queue.change_priority(third, 1)
    await queue.change_priority(second, 5, lifo=True)
    assert await _order(queue, State.PRIORITIZED) == [third, second, first, plain]
    await queue.change_priority(first, 0)
    assert await _order(queue, State.WAITING) == [first]
    job = await queue.get(first)
    assert job is not None
    assert job.priority == 0


async def test_a_delayed_job_keeps_its_new_priority_for_later(queue: Queue) -> None:
    job_id = (await queue.add("a", 1, JobOptions(delay_ms=LONG_MS))).id
    await queue.change_priority(job_id, 4)
    assert await queue.state(job_id) is State.DELAYED
    await queue.promote(job_id)
    assert await queue.state(job_id) is State.PRIORITIZED


async def test_a_delay_is_counted_anew(queue: Queue) -> None:
    late, soon = await queue.add_bulk([NewJob("a", n, JobOptions(delay_ms=LONG_MS + n)) for n in range(2)])
    await queue.change_delay(late, 2 * LONG_MS)
    assert await _order(queue, State.DELAYED) == [soon, late]
    job = await queue.get(late)
    assert job is not None
    assert job.delay_ms == 2 * LONG_MS


async def test_an_idle_worker_is_woken_for_a_delay_that_became_short(queue: Queue, probe: Probe) -> None:
    async def done(job: Job) -> None:
        return None

    async with working("q", done, queue.connection, prefix=queue.prefix, probe=probe):
        job = await queue.add("a", 1, JobOptions(delay_ms=LONG_MS))
        await queue.change_delay(job.id, 10)
        await probe.seen(JobCompleted)


async def test_changes_say_what_is_wrong(queue: Queue) -> None:
    with pytest.raises(JobMissing, match="'nope' was not found during change_delay"):
        await queue.change_delay("nope", 1)
    with pytest.raises(JobMissing, match="'nope' was not found during change_priority"):
        await queue.change_priority("nope", 1)
    job_id = (await queue.add("a", 1)).id
    with pytest.raises(JobNotInState, match="is not delayed"):
        await queue.change_delay(job_id, 1)
    with pytest.raises(ValueError, match="delay_ms is -1"):
        await queue.change_delay(job_id, -1)
    with pytest.raises(ValueError, match="priority is 2097152"):
        await queue.change_priority(job_id, 2**21)
