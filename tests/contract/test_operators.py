"""What an operator does on one side holds for the workers of the other."""

import pytest

from berrante.engine import Backoff, JobNotInState, JobOptions, NewJob, Queue, State, WorkerOptions
from tests.contract.conftest import Pair
from tests.contract.observing import finished, idle, job, until
from tests.contract.peer import PeerError
from tests.contract.sides import Nodes, Ours, Script, Side


async def test_a_paused_queue_rests_until_it_is_resumed(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    operator = pair.adds
    async with pair.works.work(Script(), WorkerOptions(block_ms=60_000)) as worker:
        await finished(queue, await operator.add("before"))
        await operator.pause()
        assert await queue.is_paused()
        assert await nodes.queue.call("isPaused") is True
        ids = [await operator.add("while paused"), await operator.add("ranked", None, JobOptions(priority=1))]
        ids.append(await operator.add("later", None, JobOptions(delay_ms=1)))
        assert len(worker.runs.items) == 1
        await operator.resume()
        assert not await queue.is_paused()
        assert await nodes.queue.call("isPaused") is False
        await finished(queue, *ids)
    assert len(worker.runs.items) == 4


async def test_a_paused_queue_gives_nothing_even_to_a_new_worker(pair: Pair, queue: Queue) -> None:
    await pair.adds.pause()
    job_id = await pair.adds.add("waits")
    async with pair.works.work(Script()) as worker:
        await idle(queue.connection, pair.works.worker_name)
        assert worker.runs.items == []
        assert await pair.works.states() == {"waiting": 1}
        await pair.adds.resume()
        await finished(queue, job_id)


@pytest.mark.parametrize("state", ["waiting", "prioritized", "delayed", "completed", "failed"])
async def test_a_removed_job_leaves_nothing(pair: Pair, queue: Queue, state: str) -> None:
    options = {
        "prioritized": JobOptions(job_id="j", priority=2),
        "delayed": JobOptions(job_id="j", delay_ms=60_000),
    }.get(state, JobOptions(job_id="j"))
    await pair.adds.add("bad" if state == "failed" else "good", {}, options)
    if state in {"completed", "failed"}:
        async with pair.adds.work({"bad": Script(logs=("x",), unrecoverable="no"), "*": Script(logs=("x",))}):
            await finished(queue, "j")
    assert await queue.state("j") == state
    await pair.works.remove("j")
    assert await pair.adds.states() == {}
    left = [key async for key in queue.connection.redis.scan_iter(match=queue.keys.job("j") + "*")]
    assert left == []


async def test_an_active_job_cannot_be_removed(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    for side in (ours, nodes):
        job_id = await side.add("held")
        async with side.work(Script(hold=True)) as worker:
            await worker.runs.first(lambda run, wanted=job_id: run.job_id == wanted)  # type: ignore[misc]
            with pytest.raises(JobNotInState):
                await queue.remove(job_id)
            assert await nodes.queue.call("remove", job_id) == 0
            await worker.release()
            await finished(queue, job_id)


async def test_a_failed_job_is_run_again_by_the_other(pair: Pair, queue: Queue, nodes: Nodes) -> None:
    job_id = await pair.adds.add("flaky", {}, JobOptions(attempts=2))
    async with pair.works.work(Script(fail="boom", fail_times=9)):
        await finished(queue, job_id)
    await pair.adds.retry(job_id)
    again = await job(queue, job_id)
    assert (again.attempts_made, again.attempts_started, again.failed_reason) == (0, 0, None)
    assert again.finished_on_ms is None
    assert await pair.works.states() == {"waiting": 1}
    async with pair.works.work(Script(value="well")):
        await finished(queue, job_id, times=2)
    seen = await nodes.queue.get(job_id)
    assert seen is not None
    assert (seen["returnvalue"], seen["attemptsMade"]) == ("well", 1)


async def test_only_a_finished_job_can_be_retried(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    job_id = await ours.add("waits")
    with pytest.raises(JobNotInState):
        await queue.retry(job_id)
    with pytest.raises(PeerError, match="not in the failed state"):
        await nodes.queue.job(job_id, "retry", "failed")


async def test_a_promoted_job_runs_at_once(pair: Pair, queue: Queue) -> None:
    async with pair.works.work(Script(), WorkerOptions(block_ms=60_000)):
        plain = await pair.adds.add("later", None, JobOptions(delay_ms=3_600_000))
        ranked = await pair.adds.add("later", None, JobOptions(delay_ms=3_600_000, priority=3))
        await pair.adds.promote(plain)
        await pair.adds.promote(ranked)
        await finished(queue, plain, ranked)


async def test_all_failed_jobs_are_retried_by_the_other(ours: Ours, nodes: Nodes, queue: Queue) -> None:
    ids = await nodes.add_bulk([NewJob("n", n) for n in range(25)])
    async with nodes.work(Script(fail="boom", fail_times=9), WorkerOptions(concurrency=5)):
        await finished(queue, *ids)
    await queue.retry_all(State.FAILED, batch=10)
    assert await nodes.states() == {"waiting": 25}
    async with ours.work(Script(unrecoverable="again"), WorkerOptions(concurrency=5)):
        await finished(queue, *ids, times=2)
    await nodes.queue.call("retryJobs", {"count": 10, "state": "failed"})
    assert await ours.states() == {"waiting": 25}


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.WAITING, State.DELAYED, State.PRIORITIZED])
async def test_cleaned_jobs_are_gone_for_both(pair: Pair, queue: Queue, state: State) -> None:
    options = JobOptions(
        delay_ms=60_000 if state is State.DELAYED else 0, priority=1 if state is State.PRIORITIZED else 0
    )
    ids = [await pair.adds.add("n", n, options) for n in range(5)]
    if state in (State.COMPLETED, State.FAILED):
        script = Script(logs=("x",), unrecoverable="no" if state is State.FAILED else "")
        async with pair.adds.work(script):
            await finished(queue, *ids)
    assert await pair.works.states() == {state.value: 5}
    assert sorted(await pair.works.clean(state)) == sorted(ids)
    assert await pair.adds.states() == {}
    left = [key async for key in queue.connection.redis.scan_iter(match=queue.keys.job("[0-9]*"))]
    assert left == []


async def test_draining_removes_those_that_wait_and_no_others(pair: Pair, queue: Queue) -> None:
    done = await pair.adds.add("done")
    async with pair.works.work(Script()):
        await finished(queue, done)
    await pair.adds.add("waits")
    await pair.adds.add("ranked", None, JobOptions(priority=1))
    await pair.adds.add("later", None, JobOptions(delay_ms=60_000))
    await pair.works.drain()
    assert await pair.adds.states() == {"delayed": 1, "completed": 1}


async def test_obliterating_leaves_no_key(pair: Pair, queue: Queue) -> None:
    ids = [await pair.adds.add("n", n, JobOptions(attempts=2, backoff=Backoff.fixed(60_000))) for n in range(3)]
    async with pair.adds.work(Script(logs=("x",)), WorkerOptions(metrics_minutes=5)):
        await finished(queue, *ids)
    await pair.adds.add("waits")
    await pair.adds.add("ranked", None, JobOptions(priority=1))
    await pair.adds.add("later", None, JobOptions(delay_ms=60_000))
    await pair.works.obliterate()
    # The stalled checker's timer is a key that goes by itself.
    left = {key.decode() async for key in queue.connection.redis.scan_iter(match=queue.keys.base + "*")}
    assert left - {queue.keys.stalled_check} == set()


async def test_a_queue_of_version_five_that_was_paused_gives_its_jobs_back_in_order(
    side: Side, ours: Ours, queue: Queue
) -> None:
    ids = await ours.add_bulk([NewJob("n", n) for n in range(5)])
    await side.pause()
    # Version 5 moved the waiting jobs to a list of their own; 6 leaves them where they are.
    await queue.connection.redis.rename(queue.keys.wait, queue.keys.paused)
    assert (await queue.counts())[State.WAITING] == 5
    await side.resume()
    async with ours.work(Script()) as worker:
        await finished(queue, *ids)
        await until(lambda: _gone(queue))
    assert [run.job_id for run in worker.runs.items] == ids


async def _gone(queue: Queue) -> bool:
    return not await queue.connection.redis.exists(queue.keys.paused)
