"""What a contact writes back: an answer that counts for the campaign, or a word by which it leaves."""

from uuid import UUID

import pytest
from sqlalchemy import select

from berrante.engine import Snooze
from berrante.messaging.automations.models import automation_runs
from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns.campaign import ReplyMode
from berrante.messaging.campaigns.replies import change_settings, settings_of
from berrante.messaging.errors import Invalid
from berrante.messaging.instances import Instances
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

ADDRESS = "+5511999990001"


async def _sent_campaign(
    platform: Platform, automation_id: UUID | None = None, mode: ReplyMode = ReplyMode.INSTEAD
) -> Campaign:
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="X",
        body="Oi",
        recipients=[ADDRESS],
        reply_automation_id=automation_id,
        reply_automation_mode=mode,
    )
    await platform.campaigns.start(platform.organization.id, campaign.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND)

    async def is_sent() -> bool:
        return (await platform.campaigns.progress(platform.organization.id, campaign.id)).sent == 1

    await until(is_sent)
    return campaign


async def _write(platform: Platform, text: str, message_id: str) -> int:
    """Let the contact write; return how many automations it started."""
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": ADDRESS,
        "content": text,
        "messageId": message_id,
        "sentAt": 1_800_000_060_000,
    }
    outcome = await platform.handle(QueueName.MESSAGE, "incoming", data)
    assert isinstance(outcome, dict)
    return int(outcome["runs"])


async def test_an_answer_counts_for_the_campaign_once(platform: Platform) -> None:
    campaign = await _sent_campaign(platform)
    for number in range(2):
        await _write(platform, "How much is it?", f"m{number}")
    progress = await platform.campaigns.progress(platform.organization.id, campaign.id)
    assert (progress.replied, progress.planned, progress.total) == (1, 1, 1)


async def test_who_writes_sair_is_left_out_of_the_next_campaign(platform: Platform) -> None:
    await _write(platform, "  Sáir! ", "m1")
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id, instance_id="sales", name="X", body="Oi", recipients=[ADDRESS]
    )
    assert await platform.campaigns.audience(platform.organization.id, campaign.id) == {"opted_out": 1}


async def test_a_sentence_with_the_word_is_no_opt_out(platform: Platform) -> None:
    await _write(platform, "quero sair cedo hoje", "m1")
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id, instance_id="sales", name="X", body="Oi", recipients=[ADDRESS]
    )
    assert await platform.campaigns.audience(platform.organization.id, campaign.id) == {"planned": 1}


async def test_an_organizations_own_words_replace_the_usual_ones(platform: Platform) -> None:
    organization_id = platform.organization.id
    assert "SAIR" in (await settings_of(platform.database, organization_id)).opt_out_words["pt"]
    changed = await change_settings(platform.database, organization_id, opt_out_words={"pt": ["chega"]}, reply_hours=24)
    assert (changed.opt_out_words, changed.reply_hours) == ({"pt": ["chega"]}, 24)
    with pytest.raises(Invalid, match="reply_hours is 0"):
        await change_settings(platform.database, organization_id, opt_out_words=None, reply_hours=0)
    await _write(platform, "sair", "m1")
    campaign = await platform.campaigns.create(
        organization_id=organization_id, instance_id="sales", name="X", body="Oi", recipients=[ADDRESS]
    )
    assert await platform.campaigns.audience(organization_id, campaign.id) == {"planned": 1}
    await _write(platform, "CHEGA", "m2")
    assert await platform.campaigns.audience(organization_id, campaign.id) == {"opted_out": 1}


async def _automations(platform: Platform) -> tuple[UUID, UUID]:
    """Return the automation of a campaign, and one that answers everything."""
    create = platform.automations.create
    mine = await create(organization_id=platform.organization.id, name="M", reply="The menu", trigger="campaign")
    usual = await create(organization_id=platform.organization.id, name="U", reply="Hello", trigger="any")
    return mine.id, usual.id


async def _started(platform: Platform) -> list[UUID]:
    async with platform.database.begin() as connection:
        rows = await connection.execute(select(automation_runs.c.automation_id).order_by(automation_runs.c.id))
        return list(rows.scalars())


async def test_a_first_answer_starts_the_campaigns_automation_once_in_place_of_the_usual(platform: Platform) -> None:
    mine, usual = await _automations(platform)
    assert await _write(platform, "Oi", "m0") == 1  # answers nothing of a campaign
    await _sent_campaign(platform, mine)
    for message_id in ("m1", "m1", "m2"):  # the second is delivered again, the third comes later
        await _write(platform, "Quero ver", message_id)
    assert await _started(platform) == [usual, mine, usual]

    await platform.automations.enable(platform.organization.id, mine, enabled=False)
    await _sent_campaign(platform, mine)
    await _write(platform, "Quero", "m3")
    assert await _started(platform) == [usual, mine, usual, usual]


async def test_a_campaigns_automation_may_run_before_the_usual_ones_which_wait_for_it(platform: Platform) -> None:
    mine, usual = await _automations(platform)
    await _sent_campaign(platform, mine, ReplyMode.BEFORE)
    assert await _write(platform, "Quero ver", "m1") == 2
    assert await _write(platform, "E mais", "m2") == 1  # no first answer: the usual one alone
    async with platform.database.begin() as connection:
        runs = (await connection.execute(select(automation_runs).order_by(automation_runs.c.id))).all()
    first, second, third = runs
    assert [run.automation_id for run in runs] == [mine, usual, usual]
    assert [run.waits_for for run in runs] == [None, first.id, None]
    assert first.due_at == second.due_at

    async def step(run_id: UUID) -> object:
        data = {"organizationId": str(platform.organization.id), "instanceId": "sales", "runId": str(run_id)}
        return await platform.handle(QueueName.AUTOMATION, "step", data)

    assert isinstance(await step(second.id), Snooze)
    assert isinstance(await step(third.id), dict)
    for run in (first, second):
        assert isinstance(await step(run.id), dict)
    said = [message.content["text"] for message in await platform.outgoing() if message.origin == "automation"]
    assert said == ["Hello", "The menu", "Hello"]


async def test_a_usual_automation_waits_for_a_late_one_and_no_more_once_it_is_off(
    platform: Platform,
) -> None:
    create = platform.automations.create
    organization_id = platform.organization.id
    late = await create(
        organization_id=organization_id, name="M", reply="The menu", trigger="campaign", delay_ms=3_600_000
    )
    await create(organization_id=organization_id, name="U", reply="Hello", trigger="any")
    campaign = await _sent_campaign(platform, late.id)
    changed = await platform.campaigns.update(organization_id, campaign.id, reply_automation_mode=ReplyMode.BEFORE)
    copied = await platform.campaigns.duplicate(organization_id, campaign.id)
    assert changed.reply_automation_mode is copied.reply_automation_mode is ReplyMode.BEFORE
    await _write(platform, "Quero", "m1")
    async with platform.database.begin() as connection:
        first, second = (await connection.execute(select(automation_runs).order_by(automation_runs.c.id))).all()
    assert second.due_at == first.due_at
    await platform.automations.enable(organization_id, late.id, enabled=False)
    outcomes = []
    for run in (first, second):
        data = {"organizationId": str(organization_id), "instanceId": "sales", "runId": str(run.id)}
        outcomes.append(await platform.handle(QueueName.AUTOMATION, "step", data))
    assert [outcome["status"] for outcome in outcomes if isinstance(outcome, dict)] == ["skipped", "done"]


async def test_an_opt_out_is_no_answer_for_the_campaigns_automation(platform: Platform) -> None:
    mine, usual = await _automations(platform)
    await _sent_campaign(platform, mine)
    await _write(platform, "SAIR", "m1")
    assert await _started(platform) == [usual]


async def test_a_campaign_names_no_automation_that_cannot_answer_for_it(platform: Platform) -> None:
    organization_id = platform.organization.id
    await Instances(platform.database).create(organization_id=organization_id, id="other")
    others = await platform.automations.create(
        organization_id=organization_id, name="O", reply="Oi", trigger="campaign", instance_id="other"
    )
    with pytest.raises(Invalid, match="reply_automation_id names an automation of the number 'other' alone"):
        await _sent_campaign(platform, others.id)
    with pytest.raises(Invalid, match="reply_automation_id names no automation of yours"):
        await _sent_campaign(platform, UUID(int=1))
    mine, _ = await _automations(platform)
    campaign = await _sent_campaign(platform, mine)
    kept = await platform.campaigns.update(organization_id, campaign.id, name="Y")
    assert kept.reply_automation_id == mine
    assert (await platform.campaigns.duplicate(organization_id, campaign.id)).reply_automation_id == mine
    gone = await platform.campaigns.update(organization_id, campaign.id, reply_automation_id=None)
    assert gone.reply_automation_id is None
