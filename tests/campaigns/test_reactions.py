"""What people do about a campaign: they answer, leave, and are heard; and it stops when too many leave."""

from uuid import UUID

from sqlalchemy import update

from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.replies import change_settings
from berrante.messaging.clock import moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.queues import QueueName
from tests.messaging.platform import NOW_MS, Platform
from tests.waiting import until


async def _sent(platform: Platform, recipients: int, **pace: object) -> Campaign:
    """Return a campaign that goes on, of which all but one recipient have their message."""
    numbers = [f"+55119{number:08}" for number in range(recipients + 1)]
    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="X",
        body="Oi",
        recipients=numbers,
        pace={"window": 100, "daily": recipients, **pace},
    )
    await platform.campaigns.start(platform.organization.id, campaign.id)
    platform.work(QueueName.CAMPAIGN, QueueName.OUTBOUND)

    async def are_sent() -> bool:
        return (await platform.campaigns.progress(platform.organization.id, campaign.id)).sent == recipients

    await until(are_sent)
    await platform.stop()
    return campaign


async def _write(platform: Platform, number: int, text: str, message_id: str | None = None) -> dict[str, object]:
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "from": f"+55119{number:08}",
        "content": text,
        "messageId": message_id or f"in-{number}",
        "sentAt": NOW_MS + 60_000,
    }
    answer = await platform.handle(QueueName.MESSAGE, "incoming", data)
    assert isinstance(answer, dict)
    return answer


async def _tick(platform: Platform, campaign_id: UUID) -> Campaign:
    platform.ahead_ms += 30_000  # counting that took long is put off, but not for so long
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "campaignId": str(campaign_id),
    }
    await platform.handle(QueueName.CAMPAIGN, "tick", data)
    found = await platform.campaigns.get(platform.organization.id, campaign_id)
    assert found is not None
    return found


async def test_a_campaign_that_many_leave_pauses_itself_and_says_why(platform: Platform) -> None:
    campaign = await _sent(platform, 30)
    for number in range(2):
        await _write(platform, number, "SAIR")
    assert (await _tick(platform, campaign.id)).status == "running"
    await _write(platform, 2, "SAIR")
    paused = await _tick(platform, campaign.id)
    assert (paused.status, paused.reason) == ("paused", "3 of 30 who got it opted out, 10 % or more")


async def test_a_campaign_after_which_many_are_blocked_pauses_itself(platform: Platform) -> None:
    campaign = await _sent(platform, 30, pause_at_opt_outs=None)

    async def block(number: int) -> None:
        mine = update(contacts).where(contacts.c.address == f"+55119{number:08}")
        async with platform.database.begin() as connection:
            await connection.execute(mine.values(blocked_at=moment(platform.clock())))

    await block(0)
    assert (await _tick(platform, campaign.id)).status == "running"
    await block(1)
    paused = await _tick(platform, campaign.id)
    assert paused.status == "paused"
    assert paused.reason == "2 of 30 who got it are blocked or stopped campaigns at WhatsApp since, 5 % or more"


async def test_whom_whatsapp_bars_gets_no_campaign_again(platform: Platform) -> None:
    stopped = SendError("stopped", scope=Scope.RECIPIENT, action=Action.SUPPRESS, code="131050")
    platform.gateway.answers.append(stopped)
    message_id = await platform.queued_message(to="+5511900000000")
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))
    assert (await platform.message(message_id)).status is MessageStatus.FAILED

    told = await platform.queued_message(to="+5511900000001")
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(told))
    receipt = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "messageId": f"wire-{told.hex}",
        "status": "failed",
        "at": platform.clock(),
        "errorCode": "131050",
    }
    await platform.handle(QueueName.MESSAGE, "receipt", receipt)

    campaign = await platform.campaigns.create(
        organization_id=platform.organization.id,
        instance_id="sales",
        name="X",
        body="Oi",
        recipients=["+5511900000000", "+5511900000001", "+5511900000002"],
    )
    counts = await platform.campaigns.audience(platform.organization.id, campaign.id)
    assert counts == {"suppressed": 2, "planned": 1}


async def test_an_opt_out_is_confirmed_once_if_wanted(platform: Platform) -> None:
    await _write(platform, 1, "SAIR", "before")
    assert await platform.outgoing() == []
    await change_settings(
        platform.database,
        platform.organization.id,
        opt_out_words=None,
        reply_hours=72,
        opt_out_reply="Pronto, não escrevemos mais.",
    )
    for message_id in ("a", "a", "b"):
        await _write(platform, 2, "SAIR", message_id)
    (reply,) = await platform.outgoing()
    assert (reply.content["text"], reply.origin) == ("Pronto, não escrevemos mais.", "automation")
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(reply.id))
    assert [message.to for message in platform.gateway.sent] == ["+5511900000002"], "who opted out may be answered"
    assert await platform.queues.outbound.state(f"send-{reply.id}") is not None


async def test_an_answer_to_a_campaign_starts_automations(platform: Platform) -> None:
    organization_id = platform.organization.id
    campaign = await _sent(platform, 1)
    await platform.automations.create(organization_id=organization_id, name="Price", trigger="any", reply="R$ 10")
    assert (await _write(platform, 0, "Quanto custa?"))["runs"] == 1
    assert (await platform.campaigns.progress(organization_id, campaign.id)).replied == 1
