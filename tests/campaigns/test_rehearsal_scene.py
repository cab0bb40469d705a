"""A rehearsal knows what else goes on at the campaign's numbers."""

from sqlalchemy import update

from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns.account import CampaignAccount
from berrante.messaging.instances.models import instances
from tests.messaging.platform import Platform

PACE = {"per_minute": 60, "jitter": 0}


async def campaign_of(platform: Platform, name: str, people: int, *, first: int, instance: str = "sales") -> Campaign:
    return await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id=instance,
        name=name,
        body="Oi",
        recipients=[f"+55119999{first + number:05}" for number in range(people)],
        pace=PACE,
    )


async def test_a_running_campaign_of_the_number_makes_a_rehearsal_twice_as_long(platform: Platform) -> None:
    organization_id = platform.organization.id
    pace = {"pace": {"rate": {"max": 1, "per_ms": 1_000}}}
    async with platform.database.begin() as connection:
        await connection.execute(update(instances).values(settings=pace))
    account = CampaignAccount(platform.database, platform.queues, platform.clock)
    ours = await campaign_of(platform, "Ours", 120, first=0)
    alone, _ = await account.rehearse(organization_id, ours.id)
    other = await campaign_of(platform, "Other", 120, first=200)
    unstarted, _ = await account.rehearse(organization_id, ours.id)
    assert (alone.others, unstarted.others) == (0, 0)
    await platform.campaigns.start(organization_id, other.id)
    both, _ = await account.rehearse(organization_id, ours.id)
    assert (both.others, both.recipients) == (120, 120)
    assert alone.end_p50 is not None
    assert both.end_p50 is not None
    assert 1.8 < (both.end_p50 - both.start) / (alone.end_p50 - alone.start) < 2.2
