"""Automations: which text calls for one, and one reply per message whatever happens."""

import asyncio
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as RedisAway

from berrante.engine import Connection, State, Unrecoverable
from berrante.messaging.automations.matching import matches
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.handlers import handlers
from berrante.messaging.instances import Instances
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform

AUTOMATION = QueueName.AUTOMATION


@pytest.mark.parametrize(
    ("text", "keyword", "calls"),
    [
        ("Qual o PRECO?", "preço", True),
        ("qual o preço?", "PRECO", True),
        ("apreço", "preço", False),
        ("preços", "preço", False),
        ("bom   dia, tudo bem?", "Bom dia", True),
        ("dia bom", "bom dia", False),
        ("STRASSE", "straße", True),
        ("preço", "preço", True),
        ("promo 2 por 1!", "2", True),
        ("", "preço", False),
        ("preço", "!!", False),
    ],
)
def test_keywords_are_whole_words_whatever_case_and_accents(text: str, keyword: str, *, calls: bool) -> None:
    assert matches(text, [keyword]) is calls


@given(st.text(), st.text())
def test_matching_takes_any_text(text: str, keyword: str) -> None:
    assert matches(text, [keyword]) in {True, False}
    assert matches(f"{keyword} {text}", [keyword]) is matches(keyword, [keyword])


async def _make(platform: Platform, **change: Any) -> UUID:
    given_ = {"name": "Prices", "keywords": ["preço"], "reply": "R$ 10"} | change
    return (await platform.automations.create(organization_id=platform.organization.id, **given_)).id


async def _run_of(platform: Platform, text: str = "preço") -> dict[str, Any]:
    """Store a message that calls for one automation and return the data of its step, with the job taken away."""
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming(text))
    (job,) = await platform.queues.automation.jobs([State.WAITING, State.DELAYED])
    await platform.queues.automation.remove(job.id)
    return dict(job.data)


async def test_a_keyword_is_answered_once_by_each_automation_that_it_calls(platform: Platform) -> None:
    await _make(platform)
    await _make(platform, name="Also", reply="Ask Ana", instance_id="sales")
    await _make(platform, name="Other word", keywords=["horário"], reply="never")
    await _make(platform, name="Off", reply="never", enabled=False)
    platform.work()
    await platform.finished(QueueName.MESSAGE, await platform.incoming("Qual o PRECO?"))
    for job in await platform.queues.automation.jobs(list(State)):
        step = await platform.finished(AUTOMATION, job.id)
        await platform.finished(QueueName.OUTBOUND, f"send-{step.return_value['messageId']}")

    assert sorted(message.content.body for message in platform.gateway.sent) == ["Ask Ana", "R$ 10"]
    assert {message.to for message in platform.gateway.sent} == {"+5511999990001"}
    assert {(reply.origin, reply.priority, reply.status) for reply in await platform.outgoing()} == {
        ("automation", 3, "sent")
    }


async def test_another_numbers_automation_does_not_answer(platform: Platform) -> None:
    await Instances(platform.database).create(organization_id=platform.organization.id, id="support")
    other = await Organizations(platform.database).create("Other")
    await _make(platform, instance_id="support")
    await platform.automations.create(organization_id=other.id, name="Theirs", trigger="any", reply="never")
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming("preço"))

    assert await platform.count("automation_runs") == 0


async def test_only_any_answers_what_is_not_text(platform: Platform) -> None:
    await _make(platform)
    every = await _make(platform, trigger="any", keywords=())
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming({"type": "image", "text": "preço"}))

    assert await platform.count("automation_runs") == 1
    assert [each.id for each in await platform.automations.list(platform.organization.id)][1] == every


async def test_a_delay_is_the_jobs_delay(platform: Platform) -> None:
    await _make(platform, delay_ms=60_000)
    platform.work(QueueName.MESSAGE)
    await platform.finished(QueueName.MESSAGE, await platform.incoming("preço"))

    (job,) = await platform.queues.automation.jobs([State.DELAYED])
    assert 59_000 < job.delay_ms <= 60_000


async def test_an_automation_that_was_switched_off_meanwhile_says_nothing(platform: Platform) -> None:
    automation_id = await _make(platform, delay_ms=60_000)
    step = await _run_of(platform)
    await platform.automations.enable(platform.organization.id, automation_id, enabled=False)

    assert await platform.handle(AUTOMATION, "step", step) == {"status": "skipped"}
    await platform.automations.enable(platform.organization.id, automation_id, enabled=True)
    assert await platform.handle(AUTOMATION, "step", step) == {"status": "skipped"}
    assert await platform.outgoing() == []


async def test_steps_that_run_at_once_write_one_reply(platform: Platform) -> None:
    await _make(platform)
    step = await _run_of(platform)

    answers = await asyncio.gather(*(platform.handle(AUTOMATION, "step", step) for _ in range(8)))

    (reply,) = await platform.outgoing()
    assert answers == [{"status": "done", "messageId": str(reply.id)}] * 8
    assert (await platform.queues.outbound.counts())[State.WAITING] == 1


async def test_killed_between_commit_and_enqueue_the_next_run_enqueues(platform: Platform) -> None:
    await _make(platform)
    step = await _run_of(platform)
    async with Connection.from_url("redis://127.0.0.1:1/0") as nowhere:
        cut = replace(platform.queues, outbound=replace(platform.queues.outbound, connection=nowhere))
        dying = handlers(database=platform.database, queues=cut, gateways={"simulator": platform.gateway})
        with pytest.raises(RedisAway):
            await platform.handle(AUTOMATION, "step", step, handler=dying[AUTOMATION])
    (reply,) = await platform.outgoing()
    assert reply.status == "queued"

    await platform.handle(AUTOMATION, "step", step)

    assert [job.id for job in await platform.queues.outbound.jobs([State.WAITING])] == [f"send-{reply.id}"]
    assert [message.id for message in await platform.outgoing()] == [reply.id]


async def test_a_run_of_another_tenant_is_out_of_reach(platform: Platform) -> None:
    await _make(platform)
    step = await _run_of(platform)
    other = await Organizations(platform.database).create("Other")
    await Instances(platform.database).create(organization_id=other.id, id="theirs")

    for change in (
        {"organizationId": str(other.id)},
        {"organizationId": str(other.id), "instanceId": "theirs"},
        {"instanceId": "theirs"},
        {"runId": str(uuid4())},
    ):
        with pytest.raises(Unrecoverable):
            await platform.handle(AUTOMATION, "step", step | change)
    assert await platform.outgoing() == []


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": " "}, "name has 0 characters"),
        ({"reply": ""}, "reply is empty"),
        ({"reply": "x" * 4_097}, "reply has 4097 characters"),
        ({"trigger": "regex"}, "trigger is 'regex'"),
        ({"keywords": []}, "keywords has 0 entries"),
        ({"keywords": ["?!"]}, "keywords has '\\?!'"),
        ({"keywords": "preço"}, "keywords is one text"),
        ({"trigger": "any"}, "keywords are given to trigger 'any'"),
        ({"delay_ms": -1}, "delay_ms is -1"),
    ],
)
async def test_a_malformed_automation_is_refused_with_the_remedy(
    platform: Platform, change: dict[str, Any], problem: str
) -> None:
    with pytest.raises(Invalid, match=problem):
        await _make(platform, **change)


async def test_an_automation_of_another_organizations_number_is_refused(platform: Platform) -> None:
    other = await Organizations(platform.database).create("Other")
    with pytest.raises(Missing, match="no such instance: 'sales'"):
        await platform.automations.create(
            organization_id=other.id, name="X", trigger="any", reply="X", instance_id="sales"
        )
    with pytest.raises(Missing):
        await platform.automations.enable(other.id, await _make(platform), enabled=False)
