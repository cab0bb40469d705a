"""Redis loses everything in mid-campaign: the rows bring the schedules, the tick and the lane back."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from berrante.app import Application
from berrante.messaging import reconciler
from berrante.messaging.campaigns import CampaignAccount, Campaigns, lane
from berrante.messaging.instances import Instances
from berrante.messaging.maintenance import schedules
from berrante.messaging.organizations import Organizations
from berrante.messaging.outbound.policy import steps
from tests.app.process import settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until

RECIPIENTS = 400


@pytest.fixture
async def own_application(
    own_valkey: OwnServer, database_url: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Application]:
    """The product on a Redis of the test's own; what takes it a minute or more takes seconds."""
    monkeypatch.setattr("berrante.app.application.MISSED_AFTER_MS", 300)
    monkeypatch.setitem(schedules.EVERY_MS, reconciler.RECONCILE, 500)
    monkeypatch.setattr(reconciler, "GRACE", timedelta(seconds=2))
    monkeypatch.setattr(lane, "STALE", timedelta(seconds=1))
    monkeypatch.setattr(steps, "LEASE_MS", 1_500)
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings, latency_ms=20) as application:
        yield application


@pytest.mark.timeout(180)
async def test_a_campaign_goes_on_by_itself_after_redis_was_flushed(own_application: Application) -> None:
    application = own_application
    organization_id = (await Organizations(application.database).create("Acme")).id
    await Instances(application.database).create(organization_id=organization_id, id="sales")
    campaigns = Campaigns(application.database, application.queues)
    numbers = [f"+55119{number:08}" for number in range(RECIPIENTS)]
    campaign = await campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name="Flushed",
        body="Oi",
        recipients=numbers,
        pace={"window": 50, "per_minute": 3_000},
    )
    ledger = application.simulator.ledger
    async with working(application):
        await campaigns.start(organization_id, campaign.id)
        for share in (0.25, 0.5, 0.75):
            await until(lambda share=share: len(ledger) >= RECIPIENTS * share, timeout_s=60)
            await application.connection.redis.flushall()

        async def is_finished() -> bool:
            current = await campaigns.get(organization_id, campaign.id)
            return current is not None and current.status == "finished"

        await until(is_finished, timeout_s=60)
        there = await application.queues.maintenance.schedulers.list()

    assert {address: len(seen) for (_, address), seen in ledger.items()} == dict.fromkeys(numbers, 1)
    account = await CampaignAccount(application.database, application.queues).ledger(organization_id, campaign.id)
    assert (account.planned, account.sent, account.mismatches) == (RECIPIENTS, RECIPIENTS, ())
    assert {each.id for each in there} == set(schedules.EVERY_MS)
