"""From a job on ``message`` to a stored message, a contact and the runs of automations."""

import asyncio
from uuid import uuid4

import pytest
from sqlalchemy import select

from berrante.engine import State
from berrante.gateways.protocol import IncomingMessage
from berrante.messaging.clock import moment
from berrante.messaging.instances import Instances
from berrante.messaging.intake import handle_incoming_message
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from berrante.messaging.tables import contacts
from tests.messaging.platform import NOW_MS, Platform


def _event(platform: Platform) -> IncomingMessage:
    return IncomingMessage(
        organization_id=platform.organization.id,
        instance_id=platform.instance.id,
        sender="+5511999990001",
        message_id="wamid.1:2",
        sent_at_ms=NOW_MS,
        content={"type": "text", "text": "Oi"},
        sender_name="Ana",
    )


async def test_an_event_becomes_one_job_however_often_it_is_handed_in(platform: Platform) -> None:
    event = _event(platform)
    await platform.intake([event, event])
    job_id = await handle_incoming_message(event, platform.queues)

    assert job_id == f"sales-wamid.1-2-{NOW_MS}"
    assert (await platform.queues.message.counts())[State.WAITING] == 1


async def test_a_message_is_stored_with_its_contact(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await handle_incoming_message(_event(platform), platform.queues))

    (message,) = await platform.messages.list(platform.organization.id)
    assert (message.direction, message.origin, message.status) == ("in", "contact", "received")
    assert (message.wire_id, message.address) == ("wamid.1:2", "+5511999990001")
    assert message.content == {"type": "text", "text": "Oi"}
    assert message.sent_at == moment(NOW_MS)


@pytest.mark.parametrize("sender", ["5511999990001", "5511999990001@s.whatsapp.net", "5511999990001:7@s.whatsapp.net"])
@pytest.mark.parametrize("sent_at", [NOW_MS, str(NOW_MS), moment(NOW_MS).isoformat(), "2027-01-15T08:00:00.000Z"])
async def test_what_node_writes_is_understood(platform: Platform, sender: str, sent_at: object) -> None:
    platform.work(QueueName.MESSAGE)
    job_id = await platform.incoming("Oi", sent_at=sent_at, **{"from": sender})
    await platform.finished(QueueName.MESSAGE, job_id)

    (message,) = await platform.messages.list(platform.organization.id)
    assert (message.address, message.sent_at) == ("+5511999990001", moment(NOW_MS))
    assert message.content == {"type": "text", "text": "Oi"}


async def test_a_message_that_comes_again_under_another_job_is_one_message_one_run_one_reply(
    platform: Platform,
) -> None:
    await platform.automations.create(
        organization_id=platform.organization.id, name="Hi", trigger="any", reply="Welcome"
    )
    platform.work()
    jobs = await asyncio.gather(*(platform.incoming("Oi", message_id="same") for _ in range(6)))
    for job_id in jobs:
        await platform.finished(QueueName.MESSAGE, job_id)
    (run,) = [job.id for job in await platform.queues.automation.jobs(list(State))]
    reply = await platform.finished(QueueName.AUTOMATION, run)
    await platform.finished(QueueName.OUTBOUND, f"send-{reply.return_value['messageId']}")

    assert await platform.count("messages") == 2
    assert await platform.count("automation_runs") == 1
    assert [message.content.body for message in platform.gateway.sent] == ["Welcome"]


async def test_a_redelivery_enqueues_a_run_whose_job_was_lost(platform: Platform) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Yes")
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi"))
    (run,) = await platform.queues.automation.jobs([State.WAITING])
    await platform.queues.automation.remove(run.id)

    await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi"))

    assert [job.id for job in await platform.queues.automation.jobs([State.WAITING])] == [run.id]


async def test_an_automation_made_after_a_message_does_not_answer_its_redelivery(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi"))
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Late")

    await platform.finished(QueueName.MESSAGE, await platform.incoming("Oi"))

    assert await platform.count("automation_runs") == 0


async def test_our_own_message_told_back_to_us_answers_nothing(platform: Platform) -> None:
    await platform.automations.create(organization_id=platform.organization.id, name="Hi", trigger="any", reply="Echo")
    ours = await platform.message(await platform.queued_message("Hello"))
    platform.work(QueueName.MESSAGE)

    job = await platform.finished(QueueName.MESSAGE, await platform.incoming("Hello", message_id=ours.wire_id))

    assert job.return_value["status"] == "echo"
    assert await platform.count("messages") == 1
    assert await platform.count("automation_runs") == 0


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"organizationId": None}, "organizationId"),
        ({"organizationId": "acme"}, "organizationId"),
        ({"instanceId": None}, "instanceId"),
        ({"instanceId": "nowhere"}, "no such instance: 'nowhere'"),
        ({"instanceId": "a\0b"}, "instanceId"),
        ({"from": None}, "from"),
        ({"from": "120363@g.us"}, "from '120363@g.us' is not a person's number"),
        ({"from": "call me"}, "from 'call me' is not a phone number"),
        ({"content": None}, "content"),
        ({"content": {"text": "Oi"}}, "content has no type"),
        ({"content": {"type": "text"}}, "content.text is missing"),
        ({"messageId": None}, "messageId"),
        ({"messageId": ""}, "messageId"),
        ({"sentAt": None}, "sentAt"),
        ({"sentAt": "yesterday"}, "sentAt is 'yesterday'"),
        ({"sentAt": 1_800_000_000}, "sentAt is 1800000000: give milliseconds"),
    ],
)
async def test_what_can_never_be_handled_is_a_dead_letter_that_says_why(
    platform: Platform, change: dict[str, object], reason: str
) -> None:
    platform.work(QueueName.MESSAGE)
    job_id = await platform.incoming(**change)

    assert reason in await platform.failure(QueueName.MESSAGE, job_id)
    assert await platform.count("messages") == 0


async def test_an_instance_of_another_organization_is_refused(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")
    platform.work(QueueName.MESSAGE)

    for change in ({"instanceId": "theirs"}, {"organizationId": str(other.id)}, {"organizationId": str(uuid4())}):
        job_id = await platform.incoming(**change)
        assert "does not belong to organization" in await platform.failure(QueueName.MESSAGE, job_id)
    assert await platform.count("messages") == 0
    assert await platform.count("contacts") == 0


async def test_a_job_of_an_unknown_name_is_a_dead_letter(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    job = await platform.queues.message.add("incomming", {})
    assert "no jobs named 'incomming'" in await platform.failure(QueueName.MESSAGE, job.id)


async def test_text_that_postgresql_cannot_hold_is_stored_with_replacements(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    content = {"type": "poll", "options": ["a\0b", {"c\0": 1}]}
    await platform.finished(QueueName.MESSAGE, await platform.incoming(content))

    (message,) = await platform.messages.list(platform.organization.id)
    assert message.content == {"type": "poll", "options": ["a�b", {"c�": 1}]}


async def test_a_contact_keeps_its_name_and_its_last_message(platform: Platform) -> None:
    platform.work(QueueName.MESSAGE)
    later = NOW_MS + 60_000
    for id_, sent_at, name in (("m1", later, "Ana"), ("m2", NOW_MS, None)):
        await platform.finished(
            QueueName.MESSAGE, await platform.incoming(message_id=id_, sent_at=sent_at, fromName=name)
        )

    async with platform.database.begin() as connection:
        (contact,) = (await connection.execute(select(contacts))).all()
    assert (contact.name, contact.last_message_at) == ("Ana", moment(later))
