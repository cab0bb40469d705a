import pytest

from berrante.engine import Connection, EngineError, Job, JobOptions, Queue, State, WorkerOptions
from berrante.engine.notices import JobCompleted
from tests.probes import Probe, working


async def test_every_so_often_makes_one_job_after_the_other(queue: Queue, connection: Connection, probe: Probe) -> None:
    seen: list[object] = []

    async def handle(job: Job) -> None:
        seen.append((job.name, job.data, job.scheduler_id, job.options.attempts))

    options = JobOptions(attempts=4)
    await queue.schedulers.upsert("tidy", name="reconcile", every_ms=50, data={"n": 1}, options=options)
    async with working("q", handle, connection, WorkerOptions(block_ms=60_000), prefix=queue.prefix, probe=probe):
        done = await probe.seen(JobCompleted, 3)
    assert seen[:3] == [("reconcile", {"n": 1}, "tidy", 4)] * 3
    assert len({notice.job.id for notice in done}) == 3


async def test_the_next_job_is_there_before_the_handler_runs(
    queue: Queue, connection: Connection, probe: Probe
) -> None:
    """A worker killed in the middle of a scheduler's job must not end the schedule."""
    delayed: list[int] = []

    async def handle(_: Job) -> None:
        delayed.append((await queue.counts())[State.DELAYED])

    await queue.schedulers.upsert("tidy", name="reconcile", every_ms=60_000)
    async with working("q", handle, connection, prefix=queue.prefix, probe=probe):
        await probe.seen(JobCompleted)
    assert delayed == [1]


async def test_a_scheduler_is_listed_changed_and_removed(queue: Queue) -> None:
    await queue.schedulers.upsert("daily", name="report", cron="0 9 * * *", tz="America/Sao_Paulo", data={"a": 1})
    await queue.schedulers.upsert("daily", name="report", cron="0 10 * * *", tz="America/Sao_Paulo", data={"a": 2})
    (found,) = await queue.schedulers.list()
    assert (found.id, found.name, found.cron, found.tz, found.every_ms) == (
        "daily",
        "report",
        "0 10 * * *",
        "America/Sao_Paulo",
        None,
    )
    assert found.data == {"a": 2}
    assert found.next_ms > queue.connection.now_ms()
    assert (await queue.counts())[State.DELAYED] == 1
    assert await queue.schedulers.remove("daily") is True
    assert await queue.schedulers.remove("daily") is False
    assert await queue.schedulers.list() == []
    assert (await queue.counts())[State.DELAYED] == 0


async def test_what_is_wrong_with_a_scheduler_is_said(queue: Queue) -> None:
    with pytest.raises(ValueError, match="either every_ms or cron"):
        await queue.schedulers.upsert("x", name="n")
    with pytest.raises(ValueError, match="every_ms is 0"):
        await queue.schedulers.upsert("x", name="n", every_ms=0)
    with pytest.raises(ValueError, match="cron is 'soon'"):
        await queue.schedulers.upsert("x", name="n", cron="soon")


async def test_errors_of_the_engine_have_one_root() -> None:
    from berrante.engine import errors  # noqa: PLC0415  all of its classes are walked

    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert all(issubclass(item, EngineError) and item.code for item in classes)
    assert len({item.code for item in classes}) == len(classes)
