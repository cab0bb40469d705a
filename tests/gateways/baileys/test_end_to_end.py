"""The whole of it: a number is paired by QR, an automation answers, and a campaign goes on over broken links."""

from collections import Counter

import pytest

from berrante.messaging.campaigns import CampaignAccount
from berrante.messaging.messages import MessageStatus
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.sidecar import Sidecar
from tests.gateways.baileys.test_conversations import ANA
from tests.messaging.platform import Platform
from tests.waiting import until

RECIPIENTS = 200
DROPS = 5


@pytest.mark.timeout(300)
async def test_paired_answered_and_a_campaign_of_200_over_five_broken_links(
    paired: Sidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    digits = [f"55119{number:08}" for number in range(RECIPIENTS)]
    await whatsapp.contacts(*digits)
    await platform.automations.create(
        organization_id=platform.organization.id, name="Price", trigger="keyword", keywords=["preço"], reply="R$ 42"
    )
    platform.work(gateways={"baileys": paired.gateway}, concurrency=10)

    await whatsapp.write(ANA, "Qual é o preço?")

    async def is_answered() -> bool:
        return [message.status for message in await platform.outgoing()] == [MessageStatus.READ]

    await until(is_answered, timeout_s=30)
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="Feira",
        body="{Oi|Olá}!",
        recipients=[f"+{each}" for each in digits],
        pace={"window": 20, "pause_at_failures": None},
    )
    await platform.campaigns.start(platform.organization.id, campaign.id)
    for drop in range(1, DROPS + 1):

        async def have_seen(least: int = drop * RECIPIENTS // (DROPS + 1)) -> bool:
            return len(await whatsapp.seen()) >= least

        await until(have_seen, timeout_s=120)
        await whatsapp.order("drop", user=NUMBER)

    async def is_finished() -> bool:
        current = await platform.campaigns.get(platform.organization.id, campaign.id)
        return current is not None and current.status == "finished"

    await until(is_finished, timeout_s=120)

    # The fake shows an id once, as a phone does: what it counts are different messages to one contact.
    screens = Counter(entry["contact"] for entry in await whatsapp.seen())
    assert screens == Counter([*digits, ANA])
    assert await whatsapp.texts(ANA) == ["R$ 42"]
    ledger = await CampaignAccount(platform.database, platform.queues).ledger(platform.organization.id, campaign.id)
    assert (ledger.planned, ledger.sent, ledger.mismatches) == (RECIPIENTS, RECIPIENTS, ())
    assert ledger.is_clean
    assert len(paired.events("link.closed")) >= DROPS
