"""Old jobs and rows go when it is time, and failed jobs run again once."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from berrante.engine import Job, JobOptions, NewJob, Retention, State, Unrecoverable, WorkerOptions
from berrante.engine.notices import JobCompleted, JobFailed
from berrante.engine.old_jobs import OldJobs
from berrante.messaging.clock import moment
from berrante.messaging.dead_letters import Selection, Triage
from berrante.messaging.maintenance import Cleaning, KeptFor, Removed, Rerunning, RetentionKeeper
from berrante.messaging.messages import MessageStatus
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.probes import Probe, working
from tests.waiting import until

DAY_MS = 86_400_000
_DEAD = WorkerOptions(dead_letters="dead-letter", concurrency=10)


async def _finish(
    platform: Platform, *, completed: int = 0, failed: int = 0, again: int = 0, reason: str = "no"
) -> None:
    """Leave finished jobs in ``message``; ``again`` is how many are there that fail once more."""
    probe = Probe()

    async def handle(job: Job) -> object:
        if job.name == "bad":
            raise Unrecoverable(reason)
        return None

    queue = platform.queues.message
    await queue.add_bulk([NewJob("good", {})] * completed + [NewJob("bad", {"n": n}) for n in range(failed)])
    async with working("message", handle, queue.connection, _DEAD, prefix=platform.prefix, probe=probe):
        await probe.seen(JobCompleted, completed)
        await probe.seen(JobFailed, failed + again)


async def _clean(platform: Platform, *states: State, older_than_ms: int) -> dict[str, int]:
    cleaning = Cleaning(platform.queues, names=[QueueName.MESSAGE], states=states, older_than_ms=older_than_ms)
    counted = {each.state.value: each.jobs for each in await cleaning.count() if each.jobs}
    removed: dict[str, int] = {}
    async for step in cleaning.remove():
        removed[step.state.value] = removed.get(step.state.value, 0) + step.jobs
    assert {state: number for state, number in removed.items() if number} == counted
    return counted


async def test_old_jobs_are_removed_and_young_ones_stay(platform: Platform) -> None:
    await _finish(platform, completed=7, failed=3)
    assert await _clean(platform, State.COMPLETED, State.FAILED, older_than_ms=60_000) == {}
    assert await _clean(platform, State.COMPLETED, older_than_ms=-1_000) == {"completed": 7}
    counts = await platform.queues.message.counts()
    assert (counts[State.COMPLETED], counts[State.FAILED]) == (0, 3)
    assert await platform.queues.dead_letters.count() == 3


async def test_jobs_that_wait_are_cleaned_by_their_age_in_whatever_order(platform: Platform) -> None:
    queue = platform.queues.message
    ids = await queue.add_bulk([NewJob("a", {}, JobOptions())] * 600)
    await queue.add_bulk([NewJob("b", {}, JobOptions(priority=3)), NewJob("c", {}, JobOptions(delay_ms=DAY_MS))])
    await queue.schedulers.upsert("tick", name="tick", every_ms=DAY_MS)
    for job_id in ids[::2]:
        await queue.connection.redis.hset(queue.keys.job(job_id), "timestamp", 1_000)
    states = (State.WAITING, State.PRIORITIZED, State.DELAYED)
    assert await _clean(platform, *states, older_than_ms=60_000) == {"waiting": 300}
    left = {job.id for job in await queue.jobs([State.WAITING], end=-1)}
    assert set(ids[1::2]) <= left
    removed = [
        number
        for state in states
        async for number in OldJobs(queue=queue, state=state, before_ms=platform.clock() + 1_000).remove()
    ]
    assert sum(removed) == 302
    (scheduler,) = await queue.schedulers.list()
    assert scheduler.id == "tick"
    assert sum((await queue.counts()).values()) == 1  # its next job


async def test_jobs_that_wait_in_groups_are_cleaned_too(platform: Platform) -> None:
    queue = platform.queues.message
    ids = await queue.add_bulk([NewJob("a", {}, JobOptions(group=f"g{n % 3}")) for n in range(9)])
    for job_id in ids[:4]:
        await queue.connection.redis.hset(queue.keys.job(job_id), "timestamp", 1_000)
    assert await _clean(platform, State.WAITING, older_than_ms=60_000) == {"waiting": 4}
    assert await queue.groups.count() == 5


def test_active_jobs_cannot_be_cleaned(platform: Platform) -> None:
    with pytest.raises(ValueError, match="give one of completed, failed"):
        OldJobs(queue=platform.queues.message, state=State.ACTIVE, before_ms=0)


async def test_failed_jobs_that_fit_a_reason_run_again_once_and_their_letters_are_completed(platform: Platform) -> None:
    await _finish(platform, failed=4, reason="no such Instance: 'x'")
    await _finish(platform, failed=2, reason="something else")
    names = [QueueName.MESSAGE, QueueName.OUTBOUND]
    rerunning = Rerunning(platform.queues, names=names, reason="no such instance", limit=3)
    assert [each.rerun for each in await rerunning.count()] == [3, 0]
    seen: list[int] = []
    assert [each.rerun for each in await rerunning.rerun(seen.append)] == [3, 0]
    assert seen[-1] == 3
    counts = await platform.queues.message.counts()
    assert (counts[State.WAITING], counts[State.FAILED]) == (3, 3)
    assert await platform.queues.dead_letters.count() == 3
    assert [each.rerun for each in await Rerunning(platform.queues, names=names, reason="INSTANCE").count()] == [1, 0]


async def test_what_a_dead_letter_put_back_is_not_run_a_second_time(platform: Platform) -> None:
    await _finish(platform, failed=5)
    triage = Triage(platform.queues.dead_letters, platform.queues.connection.now_ms)
    (first, *_) = (await triage.list(Selection())).letters
    await triage.retry(first.id)
    (result,) = await Rerunning(platform.queues, names=[QueueName.MESSAGE]).rerun(lambda _: None)
    assert (result.fit, result.rerun, result.put_back) == (5, 4, 1)
    # And the other way: a job that runs again by itself has no letter any more to put it back by.
    assert (await triage.retry_all(Selection())).done == 0
    assert (await platform.queues.message.counts())[State.WAITING] == 5


async def test_a_job_that_fails_again_can_be_run_again_again(platform: Platform) -> None:
    await _finish(platform, failed=1)
    for _ in range(2):
        (result,) = await Rerunning(platform.queues, names=[QueueName.MESSAGE]).rerun(lambda _: None)
        assert result.rerun == 1
        await _finish(platform, failed=0, again=1)


async def _age(platform: Platform, message_id: object, *, days: int) -> None:
    """Make a message older, its id too."""
    at = platform.clock() - days * DAY_MS
    async with platform.database.begin() as connection:
        await connection.execute(
            update(messages).where(messages.c.id == message_id).values(created_at=moment(at), updated_at=moment(at))
        )


async def _retain(platform: Platform, **kept: object) -> Removed:
    keeper = RetentionKeeper(
        database=platform.database, queues=platform.queues, clock=platform.clock, kept_for=KeptFor(**kept)
    )
    return await keeper.sweep()


async def test_old_messages_go_and_those_still_to_be_sent_stay(platform: Platform) -> None:
    ids = [await platform.queued_message(to=f"+551199999000{number}") for number in range(4)]
    async with platform.database.begin() as connection:
        await connection.execute(update(messages).where(messages.c.id.in_(ids[:3])).values(status="sent"))
    for message_id in ids[1:]:
        await _age(platform, message_id, days=40)
    platform.ahead_ms = 31 * DAY_MS  # ids carry the time at which they were made
    await _age(platform, ids[0], days=29)
    assert await _retain(platform) == Removed()
    assert await _retain(platform, messages=timedelta(days=30)) == Removed(messages=2)
    assert {message.id for message in await platform.outgoing()} == {ids[0], ids[3]}
    assert await _retain(platform, messages=timedelta(days=30)) == Removed()


async def test_a_campaigns_old_messages_lose_their_text_and_are_still_counted(platform: Platform) -> None:
    organization_id = platform.organization.id
    campaign = await platform.campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name="Launch",
        body="We are open",
        recipients=["+5511999990002"],
    )
    await platform.campaigns.start(organization_id, campaign.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND)
    (message,) = await until(platform.outgoing)
    await platform.until_status(message.id, MessageStatus.SENT)
    await platform.stop()
    platform.ahead_ms = 60 * DAY_MS
    assert await _retain(platform, messages=timedelta(days=30)) == Removed(emptied=1)
    assert await _retain(platform, messages=timedelta(days=30)) == Removed()
    async with platform.database.begin() as connection:
        content = (await connection.execute(select(messages.c.content))).scalar_one()
    assert content == {"type": "removed"}
    progress = await platform.campaigns.progress(organization_id, campaign.id)
    assert (progress.planned, progress.total) == (1, 1)


async def test_jobs_of_a_queue_that_went_quiet_go_by_their_age(platform: Platform) -> None:
    await _finish(platform, completed=3, failed=2)
    kept = {QueueName.MESSAGE: (Retention(age_s=3_600), Retention(age_s=2 * DAY_MS // 1_000))}
    assert await _retain(platform, jobs=kept) == Removed()
    platform.ahead_ms = DAY_MS
    assert await _retain(platform, jobs=kept) == Removed(jobs=3)
    assert (await platform.queues.message.counts())[State.FAILED] == 2


async def test_the_chore_returns_its_counts_and_an_unknown_one_is_refused(platform: Platform) -> None:
    removed = await platform.handle(QueueName.MAINTENANCE, "retain", {})
    assert removed == {"messages": 0, "emptied": 0, "jobs": 0, "orphans": 0}
    with pytest.raises(Unrecoverable, match=r"use one of .*reconcile, retain"):
        await platform.handle(QueueName.MAINTENANCE, "tidy", {})
