"""Many jobs of the queue ``message`` in one run: an outcome for each, as if they had come one after the other."""

import asyncio
from dataclasses import replace
from typing import Any

from sqlalchemy import event, select, text

from berrante.engine import Job, JobOptions, NewJob, State, Unrecoverable
from berrante.gateways.protocol import IncomingMessage
from berrante.messaging.automations import Automations
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.tables import contacts, messages
from tests.messaging.hooks import endpoint_at
from tests.messaging.platform import NOW_MS, Platform

MESSAGE = QueueName.MESSAGE
#: A row that PostgreSQL refuses, whatever we checked: the statement of the whole batch fails.
_REFUSE = (
    text("""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not this one'; END $$"""),
    text("""CREATE TRIGGER refuse BEFORE INSERT ON messages FOR EACH ROW
            WHEN (NEW.wire_id = 'refused') EXECUTE FUNCTION refuse()"""),
)


def _written(platform: Platform, message_id: str, **change: object) -> NewJob:
    data: dict[str, Any] = {
        "organizationId": str(platform.organization.id),
        "instanceId": platform.instance.id,
        "from": "+5511999990001",
        "content": f"I am {message_id}",
        "messageId": message_id,
        "sentAt": NOW_MS,
    }
    return NewJob("incoming", data | change)


def _receipt(platform: Platform, about: str, status: str) -> NewJob:
    owner = {"organizationId": str(platform.organization.id), "instanceId": platform.instance.id}
    return NewJob("receipt", owner | {"messageId": about, "status": status, "at": NOW_MS})


async def _jobs(platform: Platform, *new: NewJob) -> list[Job]:
    ids = await platform.queues.message.add_bulk(list(new))
    return [job for job_id in ids if (job := await platform.queues.message.get(job_id)) is not None]


async def _handled(platform: Platform, *new: NewJob) -> list[Any]:
    """Handle jobs as one batch and return what came of each, in order."""
    jobs = await _jobs(platform, *new)
    outcomes: Any = await platform.batch_handlers()[MESSAGE](jobs)
    return [outcomes[job.id] for job in jobs]


async def _statuses(platform: Platform, *new: NewJob) -> list[str]:
    return [
        type(outcome).__name__ if isinstance(outcome, Exception) else outcome["status"]
        for outcome in await _handled(platform, *new)
    ]


async def test_a_batch_is_stored_in_its_order_by_as_many_statements_as_one_message(platform: Platform) -> None:
    counted = [0]
    event.listen(
        platform.database.engine.sync_engine,
        "before_cursor_execute",
        lambda *_: counted.__setitem__(0, counted[0] + 1),
    )
    await _handled(platform, _written(platform, "alone"))
    one, counted[0] = counted[0], 0

    await _handled(platform, *(_written(platform, f"m{n}", **{"from": f"+55119999900{n:02}"}) for n in range(50)))

    assert counted[0] == one
    async with platform.database.begin() as connection:
        query = select(messages.c.wire_id).where(messages.c.wire_id != "alone").order_by(messages.c.id)
        assert list((await connection.execute(query)).scalars()) == [f"m{n}" for n in range(50)]


async def test_what_an_organization_has_none_of_is_not_asked_for_until_it_has(platform: Platform) -> None:
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    event.listen(platform.database.engine.sync_engine, "before_cursor_execute", note)
    await _handled(platform, _written(platform, "of nothing"))
    of_nothing = list(asked)
    await Automations(platform.database).create(
        organization_id=platform.organization.id, name="Any", trigger="any", reply="Hello"
    )
    await endpoint_at(platform, "https://8.8.8.8/told", "message.received")
    asked.clear()

    (stored,) = await _handled(platform, _written(platform, "of something"))

    # Who acts, what there is, the contact, the message.
    assert len(of_nothing) == 4
    assert stored["runs"] == 1
    assert any("INSERT INTO webhook_deliveries" in statement for statement in asked)


async def test_one_job_that_cannot_be_stored_takes_no_other_with_it(platform: Platform) -> None:
    async with platform.database.begin() as connection:
        for statement in _REFUSE:
            await connection.execute(statement)
    found = await _handled(
        platform,
        _written(platform, "first"),
        _written(platform, "second", sentAt="yesterday"),
        _written(platform, "third", instanceId="nowhere"),
        NewJob("incomming", {}),
        _written(platform, "fourth"),
        _written(platform, "refused"),
        _written(platform, "last"),
    )
    assert [each["status"] for each in (found[0], found[-1])] == ["stored", "stored"]
    assert [isinstance(each, Unrecoverable) for each in found[1:4]] == [True, True, True]
    assert "sentAt is 'yesterday'" in str(found[1])
    assert "no such instance: 'nowhere'" in str(found[2])
    assert "not this one" in str(found[5])
    async with platform.database.begin() as connection:
        stored = list((await connection.execute(select(messages.c.wire_id).order_by(messages.c.id))).scalars())
    assert stored == ["first", "fourth", "last"]


async def test_the_same_message_twice_in_a_batch_is_one_row_and_one_run(platform: Platform) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Yes")
    same = [_written(platform, "m1") for _ in range(5)]
    assert await _statuses(platform, *same) == ["stored", "known", "known", "known", "known"]
    assert await _statuses(platform, *same) == ["known"] * 5
    assert (await platform.count("messages"), await platform.count("automation_runs")) == (1, 1)
    assert (await platform.queues.automation.counts())[State.WAITING] == 1


async def test_the_last_name_and_the_latest_message_of_a_batch_are_the_contacts(platform: Platform) -> None:
    await _handled(
        platform,
        _written(platform, "m1", fromName="Ana", sentAt=NOW_MS + 5_000),
        _written(platform, "m2", fromName="Ana Souza"),
        _written(platform, "m3"),
    )
    async with platform.database.begin() as connection:
        (contact,) = (await connection.execute(select(contacts))).all()
    assert contact.name == "Ana Souza"
    assert contact.last_message_at.timestamp() * 1_000 == NOW_MS + 5_000


async def test_an_opt_out_word_is_heeded_within_a_batch(platform: Platform) -> None:
    await _handled(platform, _written(platform, "m1", content="oi"), _written(platform, "m2", content="Sair"))
    async with platform.database.begin() as connection:
        assert list((await connection.execute(select(contacts.c.consent))).scalars()) == ["opted_out"]


async def test_receipts_of_a_batch_raise_a_status_and_one_that_is_early_waits_alone(platform: Platform) -> None:
    wire_id = (await platform.message(await platform.queued_message())).wire_id
    found = await _statuses(
        platform,
        *(_receipt(platform, wire_id, status) for status in ("read", "sent", "failed")),
        _receipt(platform, "nobody's", "sent"),
        _written(platform, "m1"),
    )
    assert found == ["read", "read", "read", "ReceiptTooEarly", "stored"]


async def test_a_batch_of_two_organizations_reaches_each_ones_rows_alone(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")
    theirs = {"organizationId": str(other.id), "instanceId": "theirs"}
    found = await _statuses(
        platform,
        _written(platform, "m1"),
        _written(platform, "m1", **theirs),
        _written(platform, "m2", instanceId="theirs"),
        _written(platform, "m3", organizationId=str(other.id)),
    )
    assert found == ["stored", "stored", "Unrecoverable", "Unrecoverable"]
    for organization_id in (platform.organization.id, other.id):
        (message,) = await platform.messages.list(organization_id)
        assert message.organization_id == organization_id


async def test_ten_thousand_deliveries_of_one_message_at_once_are_one_row_and_one_run(platform: Platform) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Yes")
    heard = IncomingMessage(
        organization_id=platform.organization.id,
        instance_id=platform.instance.id,
        sender="+5511999990001",
        message_id="same",
        sent_at_ms=NOW_MS,
        content={"type": "text", "text": "Oi"},
    )
    # Handed in again by a gateway, it is the same job.
    await asyncio.gather(*(platform.intake([heard] * 100) for _ in range(100)))
    assert (await platform.queues.message.groups.stats(platform.instance.id)).waiting == {0: 1}

    # As jobs of their own, without a group to keep them apart, they meet in the database.
    jobs = await _jobs(platform, *(_written(platform, "same") for _ in range(10_000)))
    handle = platform.batch_handlers()[MESSAGE]
    answers: list[Any] = await asyncio.gather(
        *(handle(jobs[start : start + 100]) for start in range(0, len(jobs), 100))  # type: ignore[arg-type]
    )
    outcomes = [outcome for answer in answers for outcome in answer.values()]

    assert len(outcomes) == 10_000
    assert sorted({outcome["status"] for outcome in outcomes}) == ["known", "stored"]
    assert sum(outcome["status"] == "stored" for outcome in outcomes) == 1
    assert len({outcome["messageId"] for outcome in outcomes}) == 1
    assert (await platform.count("messages"), await platform.count("automation_runs")) == (1, 1)
    assert (await platform.queues.automation.counts())[State.WAITING] == 1


async def test_a_numbers_messages_keep_their_order_over_many_batches(platform: Platform) -> None:
    options = JobOptions(group=platform.instance.id)
    numbers = [_written(platform, f"m{n}") for n in range(350)]
    await platform.queues.message.add_bulk([NewJob(each.name, each.data, options) for each in numbers])
    platform.work(MESSAGE)
    await platform.finished(MESSAGE, await platform.incoming("Oi", message_id="end"))
    async with platform.database.begin() as connection:
        stored = list((await connection.execute(select(messages.c.wire_id).order_by(messages.c.id))).scalars())
    assert stored == [*(f"m{n}" for n in range(350)), "end"]


async def test_what_follows_from_each_message_stays_in_its_own_trace(platform: Platform) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Hello")
    await endpoint_at(platform, "http://127.0.0.1:9/hook", "message.received")
    traces = [f'{{"traceparent": "00-{mark * 32}-{mark * 16}-01"}}' for mark in "ab"]
    new = (
        replace(_written(platform, f"m{n}"), options=JobOptions(trace_context=each)) for n, each in enumerate(traces)
    )
    await _handled(platform, *new)
    for queue in (platform.queues.automation, platform.queues.webhook):
        jobs = await queue.jobs([State.WAITING])
        assert sorted(str(job.trace_context) for job in jobs) == traces, queue.name
