"""What a contact writes back: an answer that counts for the campaign, or a word by which it leaves."""

import pytest

from berrante.messaging.campaigns.replies import change_settings, settings_of
from berrante.messaging.errors import Invalid
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

ADDRESS = "+5511999990001"


async def _sent_campaign(platform: Platform) -> object:
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id, instance_id="sales", name="X", body="Oi", recipients=[ADDRESS]
    )
    await platform.campaigns.start(platform.organization.id, campaign.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND)

    async def is_sent() -> bool:
        return (await platform.campaigns.progress(platform.organization.id, campaign.id)).sent == 1

    await until(is_sent)
    return campaign


async def _write(platform: Platform, text: str, message_id: str) -> None:
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": ADDRESS,
        "content": text,
        "messageId": message_id,
        "sentAt": 1_800_000_060_000,
    }
    await platform.handle(QueueName.MESSAGE, "incoming", data)


async def test_an_answer_counts_for_the_campaign_once(platform: Platform) -> None:
    campaign = await _sent_campaign(platform)
    for number in range(2):
        await _write(platform, "How much is it?", f"m{number}")
    progress = await platform.campaigns.progress(platform.organization.id, campaign.id)  # type: ignore[attr-defined]
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
