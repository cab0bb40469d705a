"""What a number's own settings keep its campaigns from, whatever these say."""

from datetime import UTC, datetime, time, timedelta

from berrante.engine import Snooze
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.rehearsal import Group, Number, Scene, rehearse
from berrante.messaging.clock import moment
from berrante.messaging.instances import Instances
from berrante.messaging.instances.settings import QuietHours, WarmUp
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

CAMPAIGN = QueueName.CAMPAIGN


async def test_a_numbers_own_quiet_hours_and_warm_up_hold_for_its_campaigns(platform: Platform) -> None:
    organization_id = platform.organization.id
    now = moment(platform.clock())
    quiet = {
        "start": f"{now - timedelta(hours=1):%H:%M}",
        "end": f"{now + timedelta(hours=2):%H:%M}",
        "time_zone": "UTC",
    }
    warm_up = {"started_on": f"{now + timedelta(hours=3):%Y-%m-%d}", "first_day": 2, "growth": 1.0, "days": 5}
    settings = {"quiet_hours": quiet, "warm_up": warm_up}
    await Instances(platform.database).update(organization_id, "sales", settings=settings)
    campaign = await platform.campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name="X",
        body="Oi",
        recipients=[f"+551199999000{number}" for number in range(5)],
    )
    await platform.campaigns.start(organization_id, campaign.id)
    tick = {"organizationId": str(organization_id), "instanceId": "sales", "campaignId": str(campaign.id)}
    assert isinstance(await platform.handle(CAMPAIGN, "tick", tick), Snooze)
    assert await platform.outgoing() == []

    platform.ahead_ms += 3 * 3_600_000

    async def two_are_written() -> bool:
        await platform.handle(CAMPAIGN, "tick", tick)
        return len(await platform.outgoing()) == 2

    await until(two_are_written)
    for _ in range(3):
        await platform.handle(CAMPAIGN, "tick", tick)
    waiting = await platform.outgoing()
    assert len(waiting) == 2

    platform.ahead_ms += 21 * 3_600_000  # the next day's quiet hours
    send = platform.send_data(waiting[0].id)
    for _ in range(2):
        assert await platform.handle(QueueName.OUTBOUND, "send", send) == {"status": "queued", "held": True}
        await platform.handle(CAMPAIGN, "tick", tick)


def test_a_rehearsal_keeps_them_too() -> None:
    start = datetime(2026, 11, 27, 21, tzinfo=UTC)
    number = Number(
        quiet=QuietHours(start=time(20), end=time(22), time_zone="UTC"),
        warm_up=WarmUp(started_on=start.date(), first_day=10, growth=2.0, days=2),
    )
    groups = [Group(instance_id="sales", zone="UTC", stranger=False, count=60)]
    played = rehearse(groups, Policy(per_minute=6_000), start=start, scene=Scene(numbers={"sales": number}))
    hours = [(hour.day, hour.hour, sent) for hour, sent in played.per_hour.items()]
    assert hours == [(27, 22, 10), (28, 0, 20), (29, 0, 30)]
