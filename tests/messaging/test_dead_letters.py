"""Dead letters: grouped by cause, put back once, discarded, each tenant its own."""

import asyncio
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from berrante.engine import Connection, DeadLetters, Job, NewJob, Queue, State, Unrecoverable, WorkerOptions
from berrante.engine.notices import JobFailed
from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.dead_letters import Selection, Triage, read_letter
from berrante.messaging.errors import Missing, WrongState
from tests.probes import Probe, working

ORGANIZATION = "11111111-1111-7111-8111-111111111111"
OTHER = "22222222-2222-7222-8222-222222222222"


def letter(number: int, **told: Any) -> dict[str, Any]:
    """A letter as a worker writes it."""
    return {
        "queue": "outbound",
        "jobId": f"send-{number}",
        "name": "send",
        "data": {"organizationId": ORGANIZATION, "instanceId": "sales", "number": number},
        "opts": {"attempts": 4, "priority": 3},
        "failedReason": "no",
        "stacktrace": ["Traceback …" * 50],
        "error": {"type": "SendError", "code": "131000", "scope": "message"},
        "attemptsMade": 4,
        "timestamp": 1,
        "processedOn": 2,
        "failedAt": 1_000 + number,
    } | told


SEVEN: tuple[dict[str, Any], ...] = (
    {"error": {"type": "SendError", "code": "131000", "scope": "message"}},
    {"error": {"type": "SendError", "code": "130429", "scope": "number"}},
    {"error": {"type": "SendError", "code": "132001", "scope": "template", "template": "welcome"}},
    {"error": {"type": "SendError", "code": "132001", "scope": "template", "template": "goodbye"}},
    {"queue": "message", "error": {"type": "Unrecoverable", "code": "unrecoverable"}},
    {"queue": "message", "error": {"type": "JobTimedOut", "code": "job_timed_out"}},
    {"queue": "automation", "error": {"type": "ZeroDivisionError"}},
)


def reason_of(number: int) -> str:
    return f"instance 'x{number}' has no outgoing message {number} of {ORGANIZATION}"


async def fill(letters: DeadLetters, count: int) -> None:
    for start in range(0, count, 1_000):
        numbers = range(start, min(count, start + 1_000))
        told = [letter(number, failedReason=reason_of(number)) | SEVEN[number % 7] for number in numbers]
        await letters.queue.add_bulk([NewJob(each["name"], each) for each in told])


@pytest.fixture
def letters(connection: Connection, prefix: str) -> DeadLetters:
    return DeadLetters(connection, prefix=prefix)


@pytest.fixture
def triage(letters: DeadLetters, connection: Connection) -> Triage:
    return Triage(letters, connection.now_ms)


async def added(connection: Connection, prefix: str, *queues: str) -> Counter[str]:
    """How often each job was added, by the queues' own events."""
    found: Counter[str] = Counter()
    for queue in queues:
        entries = await connection.redis.xrange(Queue(queue, connection, prefix=prefix).keys.events)
        found.update(fields[b"jobId"].decode() for _, fields in entries if fields[b"event"] == b"added")
    return found


@pytest.mark.timeout(300)  # it reads 10,000 letters twice for each of seven actions
async def test_ten_thousand_failures_of_seven_causes_are_seven_groups_each_drained_by_one_action(
    letters: DeadLetters, triage: Triage, connection: Connection, prefix: str
) -> None:
    await fill(letters, 10_000)
    tracemalloc.start()
    groups = await triage.groups(Selection())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    found = groups.largest_first()
    assert [group.count for group in found] == [1429, 1429, 1429, 1429, 1428, 1428, 1428]
    assert groups.left_out == 0
    assert all(group.remedy and group.first_at_ms < group.last_at_ms for group in found)
    assert most < 8_000_000  # bytes; all letters together are twice that in Redis
    number = next(group for group in found if group.cause.scope == "number")
    assert (number.cause.number, number.cause.code) == ("sales", "130429")
    assert {group.cause.template for group in found} == {None, "welcome", "goodbye"}

    for left, group in enumerate(reversed(found)):
        act = triage.discard_all if left % 2 else triage.retry_all
        done = await act(Selection(group=group.id))
        assert (done.done, done.passed_over) == (group.count, 0)
    assert await letters.count() == 0
    put_back = found[::-1][::2]
    counts = [await Queue(name, connection, prefix=prefix).counts() for name in ("outbound", "message", "automation")]
    assert sum(sum(each.values()) for each in counts) == sum(group.count for group in put_back)


async def test_two_at_once_put_each_job_back_once(
    letters: DeadLetters, triage: Triage, connection: Connection, prefix: str
) -> None:
    await fill(letters, 700)
    done = await asyncio.gather(*(triage.retry_all(Selection()) for _ in range(4)))
    assert sum(each.done for each in done) == 700
    times = await added(connection, prefix, "outbound", "message", "automation")
    assert len(times) == 700
    assert set(times.values()) == {1}
    assert await letters.count() == 0


async def test_cut_off_in_the_middle_and_begun_again_each_job_is_put_back_once(
    letters: DeadLetters, triage: Triage, connection: Connection, prefix: str
) -> None:
    await fill(letters, 700)

    class CutOff(Exception):
        pass

    def cut(done: int) -> None:
        if done >= 300:
            raise CutOff

    with pytest.raises(CutOff):
        await triage.retry_all(Selection(), progress=cut)
    for _ in range(20):  # and wherever else it may be cut off: a little later each time
        cut_off = asyncio.create_task(triage.retry_all(Selection()))
        for _ in range(25):
            await asyncio.sleep(0)
        cut_off.cancel()
        await asyncio.gather(cut_off, return_exceptions=True)
    # What was put back has long been done and is not kept: only the letters tell that it was.
    for queue in ("outbound", "message", "automation"):
        await Queue(queue, connection, prefix=prefix).drain()
    await triage.retry_all(Selection())
    times = await added(connection, prefix, "outbound", "message", "automation")
    assert len(times) == 700
    assert set(times.values()) == {1}
    assert await letters.count() == 0


async def test_the_letter_names_the_job_and_the_job_the_letter(
    letters: DeadLetters, triage: Triage, connection: Connection, prefix: str
) -> None:
    async def handle(_: Job) -> object:
        raise SendError("slow down", scope=Scope.NUMBER, action=Action.HOLD, code="130429")

    queue, probe = Queue("outbound", connection, prefix=prefix), Probe()
    await queue.add("send", {"organizationId": ORGANIZATION, "instanceId": "sales"})
    async with working(
        "outbound", handle, connection, WorkerOptions(dead_letters="dead-letter"), prefix=prefix, probe=probe
    ):
        (failed,) = await probe.seen(JobFailed)
        assert failed.dead_letter_id is not None
        first = await triage.get(failed.dead_letter_id)
        assert (first.cause.code, first.cause.scope, first.cause.number) == ("130429", "number", "sales")
        done = await triage.retry(first.id)
        _, again = await probe.seen(JobFailed, 2)
    assert again.job.id == done.job_id
    assert again.job.options.letter == first.id
    assert (await triage.get(first.id)).retried_as == done.job_id
    assert (await triage.get(str(again.dead_letter_id))).retried_from == first.id
    # Asked for again, it is the same retry; and what was put back cannot be discarded any more.
    assert await triage.retry(first.id) == done
    with pytest.raises(WrongState, match=done.job_id):
        await triage.discard(first.id)
    assert (await letters.queue.counts())[State.COMPLETED] == 1


async def test_what_fails_again_is_not_taken_up_by_the_same_action(
    triage: Triage, connection: Connection, prefix: str
) -> None:
    async def handle(_: Job) -> object:
        raise Unrecoverable("still broken")

    queue, probe = Queue("message", connection, prefix=prefix), Probe()
    await queue.add_bulk([NewJob("incoming", {})] * 250)
    options = WorkerOptions(dead_letters="dead-letter", concurrency=50)
    async with working("message", handle, connection, options, prefix=prefix, probe=probe):
        await probe.seen(JobFailed, 250)
        done = await triage.retry_all(Selection())
        assert done.done == 250
        await probe.seen(JobFailed, 500)
    (group,) = (await triage.groups(Selection())).largest_first()
    assert group.count == 250


async def test_a_letter_that_nobody_can_read_is_passed_over_and_can_be_discarded(
    letters: DeadLetters, triage: Triage, connection: Connection
) -> None:
    strange = [
        await letters.queue.add("odd", data) for data in ("text", {"queue": "a:b"}, letter(1, queue="a:b"), None)
    ]
    broken = await letters.queue.add("broken", {})
    await connection.redis.hset(letters.queue.keys.job(broken.id), "data", "{no json")
    await letters.queue.add("send", letter(2))
    done = await triage.retry_all(Selection())
    assert (done.done, done.passed_over) == (1, 5)
    with pytest.raises(WrongState):
        await triage.retry(broken.id)
    assert "unreadable data" in (await triage.get(broken.id)).reason
    assert (await triage.discard_all(Selection())).done == len(strange) + 1
    assert await letters.count() == 0


async def test_pages_show_every_letter_once_while_others_come_in(letters: DeadLetters, triage: Triage) -> None:
    await fill(letters, 250)
    seen: list[str] = []
    at: int | None = None
    while True:
        page = await triage.list(Selection(), limit=60, at=at)
        seen += [each.id for each in page.letters]
        await fill(letters, 3)
        at = page.next
        if at is None:
            break
    assert len(seen) == len(set(seen)) == 250
    assert seen == sorted(seen, key=int, reverse=True)


async def test_an_organization_sees_and_touches_its_own_alone(letters: DeadLetters, triage: Triage) -> None:
    mine, theirs = Selection(organization_id=ORGANIZATION), Selection(organization_id=OTHER)
    await fill(letters, 14)
    foreign = await letters.queue.add("send", letter(99, data={"organizationId": OTHER, "instanceId": "x"}))
    await letters.queue.add("nobody's", letter(100, data=None))
    assert len((await triage.list(mine)).letters) == 14
    assert [each.id for each in (await triage.list(theirs)).letters] == [foreign.id]
    assert [group.count for group in (await triage.groups(theirs)).largest_first()] == [1]
    for attempt in (triage.get, triage.retry, triage.discard):
        with pytest.raises(Missing):
            await attempt(foreign.id, organization_id=ORGANIZATION)
    (group,) = (await triage.groups(theirs)).largest_first()
    assert (await triage.discard_all(Selection(organization_id=ORGANIZATION, group=group.id))).done == 2
    assert await letters.get(foreign.id) is not None
    assert (await triage.retry_all(mine)).done == 12
    assert await letters.count() == 2


async def test_few_among_many_of_others_are_found_page_by_page(letters: DeadLetters, triage: Triage) -> None:
    own = await letters.queue.add("send", letter(1, data={"organizationId": OTHER}))
    await fill(letters, 6_000)
    first = await triage.list(Selection(organization_id=OTHER))
    assert (first.letters, first.next) == ([], 1_001)
    second = await triage.list(Selection(organization_id=OTHER), at=first.next)
    assert ([each.id for each in second.letters], second.next) == ([own.id], None)


async def test_resolved_letters_are_kept_up_to_a_bound(letters: DeadLetters, triage: Triage) -> None:
    await fill(letters, 1_500)
    await triage.retry_all(Selection())
    assert (await letters.queue.counts())[State.COMPLETED] == 1_000


async def test_a_scan_passes_nothing_over_when_letters_are_taken_out_meanwhile(letters: DeadLetters) -> None:
    await fill(letters, 350)
    scanned: list[str] = []
    async for jobs in letters.scan():
        scanned += [read_letter(job).job_id for job in jobs]
        await letters.discard_many([job.id for job in jobs[::2]])
    assert sorted(scanned) == sorted(f"send-{number}" for number in range(350))


async def test_a_job_of_a_group_goes_back_into_its_group(
    letters: DeadLetters, triage: Triage, connection: Connection, prefix: str
) -> None:
    told = letter(1, opts={"attempts": 4, "priority": 3, "group": {"id": "sales"}})
    added = await letters.queue.add("send", told)
    done = await triage.retry(added.id)
    (job,) = await Queue("outbound", connection, prefix=prefix).groups.jobs("sales")
    assert (job.id, job.options.group, job.options.priority) == (done.job_id, "sales", 3)
