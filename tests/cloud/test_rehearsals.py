"""A rehearsal of a campaign by a number of the Cloud API."""

from datetime import timedelta

from sqlalchemy import update

from berrante.messaging.campaigns.account import CampaignAccount
from berrante.messaging.campaigns.models import campaigns
from berrante.messaging.clock import moment
from berrante.messaging.cloud_numbers.models import cloud_numbers
from tests.campaigns.test_rehearsal_scene import campaign_of
from tests.messaging.platform import Platform


async def test_the_messaging_limit_of_a_cloud_number_and_past_answers_are_played(platform: Platform) -> None:
    organization_id = platform.organization.id
    before = await campaign_of(platform, "Before", 1, first=900, instance="shop")
    async with platform.database.begin() as connection:
        await connection.execute(update(cloud_numbers).values(messaging_limit=50))
        counts = {"sent": 30, "read": 70, "replied": 20}
        begun = {"counts": counts, "started_at": moment(platform.clock()), "status": "finished"}
        await connection.execute(update(campaigns).where(campaigns.c.id == before.id).values(begun))
    ours = await campaign_of(platform, "Ours", 120, first=0, instance="shop")
    account = CampaignAccount(platform.database, platform.queues, platform.clock)
    played, _ = await account.rehearse(organization_id, ours.id)
    assert played.reply_share == 0.2
    assert played.end_p50 is not None
    assert timedelta(hours=48) < played.end_p50 - played.start < timedelta(hours=49)
    assert (await account.rehearse(organization_id, ours.id, reply_share=0))[0].reply_share == 0
