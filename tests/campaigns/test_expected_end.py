"""The end that a campaign's progress tells, held against the rehearsal of the same campaign."""

import random
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, update

from berrante.messaging.campaigns import CampaignAccount
from berrante.messaging.campaigns.expected_end import expected_end
from berrante.messaging.campaigns.models import campaign_zones, campaigns
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.rehearsal import Group, Number, Part, Scene
from berrante.messaging.campaigns.rehearsal_play import Play
from berrante.messaging.campaigns.retrying import Retry
from berrante.messaging.clock import moment
from berrante.messaging.instances.settings import QuietHours, WarmUp
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform

ZONES = ("America/Rio_Branco", "America/Sao_Paulo", "Europe/Lisbon", "Asia/Tokyo")
START = datetime(2026, 11, 27, 18, tzinfo=UTC)  # a Friday
NUMBERS = {
    "bare": Number(),
    "slow": Number(gap_s=4.0),
    "quiet": Number(quiet=QuietHours(start=time(15), end=time(18, 30), time_zone="America/Sao_Paulo")),
    "new": Number(warm_up=WarmUp(started_on=date(2026, 11, 27), first_day=150, growth=1.5, days=4)),
    "busy": Number(days={START.date(): (120, 60)}),
}


@pytest.mark.parametrize("seed", range(24))
def test_an_expected_end_is_the_rehearsals(seed: int) -> None:
    luck = random.Random(seed)
    name, per_minute = luck.choice(sorted(NUMBERS)), luck.choice([1, 5, 30])
    given = {
        "per_minute": per_minute,
        "jitter": 0,
        "quiet": luck.choice([None, {"from": "20:00", "to": "08:00"}, {"from": "12:00", "to": "14:00"}]),
        "days": luck.choice([["fri", "mon"], ["mon", "tue", "wed", "thu", "fri"], ["sat", "sun"]]),
        "zone": luck.choice(["UTC", "America/Sao_Paulo"]),
        **luck.choice([{}, {"daily": 200}, {"warm_up": [100, 300]}, {"daily_first_contacts": 150}]),
    }
    policy = Policy.read(given)
    groups = [
        Group(instance_id=name, zone=luck.choice(ZONES), stranger=luck.random() < 0.3, count=luck.randint(1, 600))
        for _ in range(luck.randint(1, 5))
    ]
    begun = START.astimezone(policy.own_zone).date()
    part = Part(groups=groups, policy=policy, begins=START, begun=begun)
    end = expected_end(part, now=START, numbers=NUMBERS, live={})
    played = Play(part, Scene(numbers=NUMBERS), start=START, seed="1").run()
    assert end is not None
    assert played is not None
    # Kinds are shared out whole here, and one by one there: each closing of a zone's hours may round another way.
    assert abs(end - played) <= 8 * timedelta(seconds=max(60 / per_minute, NUMBERS[name].gap_s)), (end, played)


async def test_a_running_campaign_tells_the_end_by_its_recipients_zones(platform: Platform) -> None:
    organization_id = platform.organization.id
    now = moment(platform.clock())
    # It is quiet now in Brazil and for ten hours on, and in the campaign's own zone it never is at these hours.
    here = now.astimezone(ZoneInfo("America/Sao_Paulo"))
    quiet = {"from": f"{here - timedelta(hours=1):%H:%M}", "to": f"{here + timedelta(hours=10):%H:%M}"}
    pace = {"per_minute": 60, "jitter": 0, "window": 5, "quiet": quiet, "zone": "Pacific/Auckland"}
    people = [f"+55119999{number:05}" for number in range(40)] + [f"+64211000{number:03}" for number in range(20)]
    campaign = await platform.campaigns.create(
        organization_id=organization_id, instance_id="sales", name="X", body="Oi", recipients=people, pace=pace
    )
    await platform.campaigns.start(organization_id, campaign.id)
    tick = {"organizationId": str(organization_id), "instanceId": "sales", "campaignId": str(campaign.id)}

    async def told() -> dict[str, Any]:
        async with platform.database.begin() as connection:  # counting is not put off
            await connection.execute(update(campaigns).values(counted_at=None))
        await platform.handle(QueueName.CAMPAIGN, "tick", tick)
        found = await platform.campaigns.get(organization_id, campaign.id)
        assert found is not None
        return dict(found.counts or {})

    counts = await told()
    written = 20 - counts["pending_by_zone"]["Pacific/Auckland"]
    assert counts["pending_by_zone"] == {"America/Sao_Paulo": 40, "Pacific/Auckland": counts["pending"] - 40}
    assert written == counts["queued"] > 0
    account = CampaignAccount(platform.database, platform.queues, platform.clock)
    played, _ = await account.rehearse(organization_id, campaign.id)
    assert played.end_p50 is not None
    end = datetime.fromisoformat(counts["expected_end"])
    assert abs(end - played.end_p50) <= timedelta(seconds=2)
    assert end > now + timedelta(hours=9)

    # What a tick writes is counted down; what is retried, or is told another zone, is counted anew.
    async with platform.database.begin() as connection:
        kept = select(func.sum(campaign_zones.c.pending)).where(campaign_zones.c.zone == "Pacific/Auckland")
        assert (await connection.execute(kept)).scalar_one() == counts["pending_by_zone"]["Pacific/Auckland"]
        await connection.execute(update(messages).values(status="failed", failure_code="131026"))
    assert await platform.campaigns.retry(organization_id, campaign.id, Retry()) == written
    counts = await told()
    assert sum(counts["pending_by_zone"].values()) == counts["pending"]
    await platform.campaigns.update(organization_id, campaign.id, pace=pace | {"zone": "Asia/Tokyo"})
    async with platform.database.begin() as connection:
        assert (await connection.execute(select(func.count()).select_from(campaign_zones))).scalar_one() == 0
    progress = await platform.campaigns.progress(organization_id, campaign.id)
    unknown = await account.expected(organization_id, campaign.id, progress)
    assert unknown == {"pending_by_zone": {}, "expected_end": None}
    await told()
    known = await account.expected(organization_id, campaign.id, progress)
    assert known["expected_end"] is not None
