"""A campaign to 100,000 people that is paused while it runs."""

from collections import Counter

import pytest
from sqlalchemy import func, select, text

from berrante.engine import State
from berrante.messaging.campaigns import CampaignAccount
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import QueueName
from tests.messaging.platform import Platform
from tests.waiting import until

RECIPIENTS = 100_000
AT_ONCE = 5

_CONTACTS = text("""
    INSERT INTO contacts (id, organization_id, instance_id, address, consent, first_seen_at)
    SELECT gen_random_uuid(), :organization_id, 'sales', '+55' || (11900000000 + n), 'unknown', now() - interval '1 day'
      FROM generate_series(1, :number) n
""")


async def _statuses(platform: Platform) -> dict[str, int]:
    query = select(messages.c.status, func.count()).group_by(messages.c.status)
    async with platform.database.begin() as connection:
        return {row[0]: row[1] for row in await connection.execute(query)}


@pytest.mark.timeout(300)
async def test_a_pause_of_100_000_stops_the_next_claim_and_a_resume_doubles_nobody(
    unhurried_platform: Platform,
) -> None:
    """A worker ends the send that it has in hand; nothing is claimed any more, so the last send is within one gap."""
    platform, organization_id = unhurried_platform, unhurried_platform.organization.id
    async with platform.database.begin() as connection:
        await connection.execute(_CONTACTS, {"organization_id": organization_id, "number": RECIPIENTS})
        await connection.execute(text("ANALYZE contacts"))
    campaign = await platform.campaigns.create(
        organization_id=organization_id, instance_id="sales", name="Large", body="Oi", segment="everyone"
    )
    await platform.campaigns.start(organization_id, campaign.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND, concurrency=AT_ONCE)
    await until(lambda: len(platform.gateway.sent) >= 50, timeout_s=200)

    await platform.campaigns.pause(organization_id, campaign.id)
    at_pause = await _statuses(platform)

    async def is_still() -> bool:
        counts = [await platform.queues[name].counts() for name in (QueueName.CAMPAIGN, QueueName.OUTBOUND)]
        busy = (State.WAITING, State.ACTIVE, State.DELAYED, State.PRIORITIZED)
        return not sum(each[state] for each in counts for state in busy)

    await until(is_still, timeout_s=60)
    paused = await _statuses(platform)
    in_hand = at_pause.get("sending", 0)
    assert in_hand <= AT_ONCE
    assert paused["sent"] == at_pause["sent"] + in_hand == len(platform.gateway.sent)
    assert set(paused) <= {"sent", "queued"}
    account = CampaignAccount(platform.database, platform.queues)
    ledger = await account.ledger(organization_id, campaign.id)
    assert (ledger.planned, ledger.sent, ledger.open, ledger.is_clean) == (
        RECIPIENTS,
        paused["sent"],
        RECIPIENTS - paused["sent"],
        True,
    )

    await platform.campaigns.resume(organization_id, campaign.id)
    platform.ahead_ms += 10_000  # what was held is missed after five seconds
    await until(lambda: len(platform.gateway.sent) >= paused["sent"] + 300, timeout_s=60)
    await platform.campaigns.pause(organization_id, campaign.id)
    await until(is_still, timeout_s=60)
    await platform.stop()

    seen = Counter(message.to for message in platform.gateway.sent)
    assert set(seen.values()) == {1}
    r = campaign_recipients.c
    written = select(r.position, r.address).where(r.message_id.is_not(None)).order_by(r.position)
    async with platform.database.begin() as connection:
        rows = (await connection.execute(written)).all()
    assert [row.position for row in rows] == list(range(len(rows))), "in the order of the audience, nobody left out"
    held = (await _statuses(platform)).get("queued", 0)
    assert seen.keys() <= {row.address for row in rows}
    assert len(seen) == len(rows) - held
    assert (await account.ledger(organization_id, campaign.id)).is_clean
