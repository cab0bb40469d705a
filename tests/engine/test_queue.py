import asyncio
import enum
from dataclasses import replace

import pytest
from redis.exceptions import ResponseError

from berrante.engine import (
    Connection,
    JobMissing,
    JobNotInState,
    JobOptions,
    NewJob,
    Queue,
    QueueBusy,
    State,
    WorkerOptions,
)
from berrante.engine.wire import taking
from tests.probes import working


async def _take(queue: Queue, token: str = "t:1") -> str | None:
    call = taking.take(queue.keys, token=token, lock_ms=30_000, rate=None, worker="w", now_ms=queue.connection.now_ms())
    return taking.taken(await queue.connection.run(call)).job_id


async def _counts(queue: Queue) -> dict[str, int]:
    return {state.value: count for state, count in (await queue.counts()).items() if count}


async def test_a_job_reads_back_as_it_was_added(queue: Queue) -> None:
    options = JobOptions(attempts=3, priority=5, job_id="order-7")
    added = await queue.add("greet", {"to": "Ana", "n": [1, None, "ç"]}, options)
    job = await queue.get("order-7")
    assert job is not None
    assert (added.id, job.id, job.name, job.data) == ("order-7", "order-7", "greet", {"to": "Ana", "n": [1, None, "ç"]})
    assert job.options == replace(options, job_id=None)
    assert (job.priority, job.attempts_made, job.attempt, job.progress) == (5, 0, 1, 0)
    assert job.timestamp_ms == added.timestamp_ms
    assert await queue.state("order-7") is State.PRIORITIZED


async def test_what_is_not_there_is_none(queue: Queue) -> None:
    assert await queue.get("nothing") is None
    assert await queue.state("nothing") is None
    assert await queue.remove("nothing") is False


async def test_an_id_that_is_there_adds_nothing(queue: Queue) -> None:
    await queue.add("a", 1, JobOptions(job_id="same"))
    again = await queue.add("b", 2, JobOptions(job_id="same"))
    assert again.id == "same"
    assert await _counts(queue) == {"waiting": 1}
    job = await queue.get("same")
    assert job is not None
    assert (job.name, job.data) == ("a", 1)


async def test_two_adds_of_one_id_at_once_make_one_job(queue: Queue) -> None:
    await asyncio.gather(*(queue.add("a", n, JobOptions(job_id="same")) for n in range(20)))
    assert await _counts(queue) == {"waiting": 1}


async def test_bulk_adds_keep_order_mix_states_and_return_ids(queue: Queue) -> None:
    ids = await queue.add_bulk(
        [
            NewJob("a", 1),
            NewJob("b", 2, JobOptions(delay_ms=60_000)),
            NewJob("c", 3, JobOptions(priority=2)),
            NewJob("d", 4, JobOptions(job_id="own")),
            NewJob("e", 5),
        ]
    )
    assert ids == ["1", "2", "3", "own", "5"]
    assert await _counts(queue) == {"waiting": 3, "prioritized": 1, "delayed": 1}
    assert [await _take(queue, f"t:{n}") for n in range(5)] == ["1", "own", "5", "3", None]


async def test_more_than_one_round_trip_of_bulk_adds_all(queue: Queue) -> None:
    ids = await queue.add_bulk([NewJob("a", n) for n in range(2_500)])
    assert ids == [str(n) for n in range(1, 2_501)]
    assert await _counts(queue) == {"waiting": 2_500}


async def test_a_lifo_job_goes_to_the_head(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", 1), NewJob("b", 2), NewJob("c", 3, JobOptions(lifo=True))])
    assert await _take(queue) == "3"


async def test_priorities_run_after_none_and_by_number_then_age(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", 0, JobOptions(priority=p)) for p in (5, 1, 3, 1, 0)])
    assert [await _take(queue, f"t:{n}") for n in range(5)] == ["5", "2", "4", "3", "1"]


async def test_a_priority_may_be_an_enum(queue: Queue) -> None:
    class Urgency(enum.IntEnum):
        HIGH = 1

    await queue.add_bulk([NewJob("a", 1, JobOptions(priority=Urgency.HIGH))])
    assert await _counts(queue) == {"prioritized": 1}
    assert await _take(queue) == "1"


async def test_a_paused_queue_gives_nothing_until_resumed(queue: Queue) -> None:
    await queue.pause()
    await queue.add("a", 1)
    assert await queue.is_paused()
    assert await _take(queue) is None
    assert await _counts(queue) == {"waiting": 1}
    await queue.resume()
    assert not await queue.is_paused()
    assert await _take(queue) == "1"


async def test_what_version_5_left_in_paused_counts_as_waiting_and_comes_back_in_order(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", n) for n in range(3)])
    await queue.connection.redis.rename(queue.keys.wait, queue.keys.paused)
    await queue.connection.redis.hset(queue.keys.meta, "paused", "1")
    assert (await queue.counts())[State.WAITING] == 3
    await queue.resume()
    assert [await _take(queue, f"t:{n}") for n in range(3)] == ["1", "2", "3"]


async def test_remove_refuses_an_active_job(queue: Queue) -> None:
    await queue.add("a", 1)
    assert await _take(queue) == "1"
    with pytest.raises(JobNotInState, match="'1'"):
        await queue.remove("1")
    assert await queue.get("1") is not None


async def test_drain_leaves_active_and_delayed_unless_asked(queue: Queue) -> None:
    await queue.add_bulk(
        [
            NewJob("a", 1),
            NewJob("b", 2),
            NewJob("c", 3, JobOptions(priority=1)),
            NewJob("d", 4, JobOptions(delay_ms=9**6)),
        ]
    )
    await _take(queue)
    await queue.drain()
    assert await _counts(queue) == {"active": 1, "delayed": 1}
    await queue.drain(delayed=True)
    assert await _counts(queue) == {"active": 1}


@pytest.mark.parametrize("state", [State.WAITING, State.PRIORITIZED, State.DELAYED])
async def test_clean_removes_old_jobs_of_one_state_up_to_the_limit(queue: Queue, state: State) -> None:
    options = {
        State.WAITING: JobOptions(),
        State.PRIORITIZED: JobOptions(priority=3),
        State.DELAYED: JobOptions(delay_ms=60_000),
    }[state]
    await queue.add_bulk([NewJob("a", n, options) for n in range(5)])
    assert await queue.clean(state, older_than_ms=3_600_000) == []
    assert len(await queue.clean(state, limit=3, older_than_ms=-120_000)) == 3
    assert await _counts(queue) == {state.value: 2}


async def test_obliterate_leaves_no_key_and_refuses_while_jobs_are_active(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", n, JobOptions(delay_ms=n % 2 * 9_000)) for n in range(50)])
    await _take(queue)
    with pytest.raises(QueueBusy, match="active"):
        await queue.obliterate()
    await queue.obliterate(force=True, batch=7)
    assert await queue.connection.redis.keys(f"{queue.prefix}:*") == []


async def test_retry_and_promote_say_what_is_wrong(queue: Queue) -> None:
    with pytest.raises(JobMissing, match="'nope'"):
        await queue.retry("nope")
    await queue.add("a", 1)
    with pytest.raises(JobNotInState, match="failed or completed"):
        await queue.retry("1")
    with pytest.raises(JobNotInState, match="delayed"):
        await queue.promote("1")


async def test_promote_lets_a_delayed_job_wait_no_longer(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", 1, JobOptions(delay_ms=9**6)), NewJob("b", 1, JobOptions(delay_ms=9**6))])
    await queue.promote("1")
    assert await _take(queue) == "1"
    await queue.retry_all(State.DELAYED)
    assert await _take(queue, "t:2") == "2"


async def test_jobs_lists_states_in_order_and_pages(queue: Queue) -> None:
    await queue.add_bulk([NewJob("a", n) for n in range(5)])
    await queue.add("p", 9, JobOptions(priority=1))
    assert [job.id for job in await queue.jobs([State.WAITING], start=0, end=1)] == ["5", "4"]
    oldest = await queue.jobs([State.WAITING, State.PRIORITIZED], oldest_first=True)
    assert [job.id for job in oldest] == ["1", "2", "3", "4", "5", "6"]


async def test_scripts_that_the_server_forgot_are_sent_again(queue: Queue, connection: Connection) -> None:
    await queue.add("a", 1)
    await connection.redis.script_flush()
    await queue.add("b", 2)
    await connection.redis.script_flush()
    assert await queue.add_bulk([NewJob("c", 3), NewJob("d", 4)]) == ["3", "4"]
    assert await _counts(queue) == {"waiting": 4}


async def test_a_key_of_another_kind_is_an_error_and_not_silence(queue: Queue) -> None:
    await queue.connection.redis.set(queue.keys.wait, "text")
    with pytest.raises(ResponseError, match="WRONGTYPE"):
        await queue.add("a", 1)


async def test_workers_are_listed_by_name(queue: Queue, connection: Connection) -> None:
    async def handle(_: object) -> None: ...

    options = WorkerOptions(name="left")
    async with working("q", handle, connection, options, prefix=queue.prefix):
        await queue.add("a", 1)
        names = {worker.name for worker in await queue.workers()}
    assert names <= {"left"}
