"""WhatsApp's rules for businesses, kept by us before Meta has to: in the handler, on real tables."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, update

from berrante.engine import RateLimited, Snooze
from berrante.gateways.protocol import TemplateContent
from berrante.gateways.refusals import refusal
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.clock import moment
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.messages.models import messages
from berrante.messaging.outbound.allowances import Pair, Wish, take
from berrante.messaging.outbound.signals import Held, RateChanged, Suppressed
from berrante.messaging.queues import QueueName
from tests.cloud.rules import cloud_number, set_number, wrote
from tests.messaging.platform import Platform

OUTBOUND = QueueName.OUTBOUND
DAY_MS = 24 * 3_600_000
TEMPLATE = TemplateContent(name="news", language="pt_BR")
OTHER = TemplateContent(name="offer", language="pt_BR")


async def campaign_message(platform: Platform, to: str = "+5511999990001", content: TemplateContent = TEMPLATE):
    """Store a message as that of a running campaign."""
    message_id = await platform.queued_message(to=to, content=content)
    campaign = {
        "id": uuid4(),
        "organization_id": platform.organization.id,
        "instance_id": "shop",
        "name": "News",
        "content": {},
        "audience": {},
        "pace": {},
        "status": "running",
    }
    recipient = {
        "campaign_id": campaign["id"],
        "position": 1,
        "organization_id": platform.organization.id,
        "address": to,
        "instance_id": "shop",
        "variant": "A",
        "params": {},
        "stranger": False,
        "status": "written",
        "not_before": moment(platform.clock()),
        "message_id": message_id,
    }
    async with platform.database.begin() as connection:
        await connection.execute(insert(campaigns).values(campaign))
        await connection.execute(insert(campaign_recipients).values(recipient))
        await connection.execute(update(messages).where(messages.c.id == message_id).values(origin="campaign"))
    return message_id


async def send(platform: Platform, message_id, handler=None):
    return await platform.handle(OUTBOUND, "send", platform.send_data(message_id), handler=handler)


def numbers(platform: Platform) -> CloudNumbers:
    return CloudNumbers(platform.database, platform.queues, clock=platform.clock)


async def test_free_text_to_a_contact_who_never_wrote_is_refused_before_sending_with_the_remedy(platform):
    message_id = await platform.queued_message()

    assert await send(platform, message_id) == {"status": "failed", "code": "131047"}

    message = await platform.message(message_id)
    assert "send an approved template instead" in message.failure_reason
    assert platform.gateway.sent == []


@pytest.mark.parametrize(("ago_ms", "status"), [(DAY_MS - 60_000, "sent"), (DAY_MS, "failed")])
async def test_the_window_closes_24_hours_after_the_contact_wrote(platform, ago_ms, status):
    message_id = await platform.queued_message()
    await wrote(platform, ago_ms=ago_ms)
    assert (await send(platform, message_id))["status"] == status


async def test_a_template_needs_no_window(platform):
    assert await send(platform, await platform.queued_message(content=TEMPLATE)) == {"status": "sent"}


async def test_45_at_once_and_then_one_every_6_seconds_to_the_same_person(platform):
    handler = platform.handlers()[OUTBOUND]
    ids = [await platform.queued_message() for _ in range(46)]
    elsewhere = await platform.queued_message(to="+5511999990002")
    await wrote(platform)
    await wrote(platform, "+5511999990002")
    platform.ahead_ms = 0
    answers = [await send(platform, message_id, handler) for message_id in ids[:45]]
    assert answers == [{"status": "sent"}] * 45

    waits = await send(platform, ids[45], handler)
    assert isinstance(waits, Snooze)
    assert 0 < waits.delay_ms <= 6_000
    assert await send(platform, elsewhere, handler) == {"status": "sent"}
    platform.ahead_ms += waits.delay_ms
    assert await send(platform, ids[45], handler) == {"status": "sent"}


async def test_the_messaging_limit_is_exact_however_many_ask_at_once(platform):
    await numbers(platform).set_messaging_limit(platform.organization.id, "shop", 3)
    ids = [await platform.queued_message(to=f"+551199999{number:04d}", content=TEMPLATE) for number in range(8)]
    handlers = [platform.handlers()[OUTBOUND] for _ in ids]

    answers = await asyncio.gather(*(send(platform, *pair) for pair in zip(ids, handlers, strict=True)))

    assert len(platform.gateway.sent) == 3
    assert sum(isinstance(answer, Snooze) for answer in answers) == 5


@pytest.mark.parametrize(
    ("told", "limit", "quality"),
    [
        ({"whatsapp_business_manager_messaging_limit": "TIER_1K", "quality_rating": "YELLOW"}, 1_000, "YELLOW"),
        ({"whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED"}, None, None),
        ({"whatsapp_business_manager_messaging_limit": "TIER_OF_TOMORROW", "quality_rating": 7}, 3, None),
        ({}, 3, None),
    ],
)
async def test_what_graph_says_at_first_is_the_limit_and_what_it_leaves_out_changes_nothing(
    platform, told, limit, quality
):
    mine = numbers(platform)
    await mine.set_messaging_limit(platform.organization.id, "shop", 3)
    await mine.learn(platform.organization.id, "shop", told)
    state = await mine.find(platform.organization.id, "shop")
    assert (state.messaging_limit, state.quality) == (limit, quality)


async def test_who_was_written_to_today_or_wrote_uses_no_room(platform):
    await numbers(platform).set_messaging_limit(platform.organization.id, "shop", 1)
    first, again = [await platform.queued_message(content=TEMPLATE) for _ in range(2)]
    answered = await platform.queued_message(to="+5511999990002")
    stranger = await platform.queued_message(to="+5511999990003", content=TEMPLATE)
    await wrote(platform, "+5511999990002")

    assert [await send(platform, each) for each in (first, again, answered)] == [{"status": "sent"}] * 3
    assert isinstance(await send(platform, stranger), Snooze)
    platform.ahead_ms += DAY_MS + 1_000
    assert await send(platform, stranger) == {"status": "sent"}


async def test_a_spam_limit_rests_campaigns_and_replies_go_on_in_every_process(platform):
    refused, next_one = await campaign_message(platform), await campaign_message(platform, "+5511999990002")
    reply = await platform.queued_message(to="+5511999990003")
    await wrote(platform, "+5511999990003")
    platform.gateway.answers.append(refusal("131048"))

    assert await send(platform, refused) == Snooze(300_000)
    assert await send(platform, next_one) == Snooze(300_000)
    assert await send(platform, reply) == {"status": "sent"}
    (hold,) = await numbers(platform).holds(platform.organization.id, "shop")
    assert (hold.what, hold.code, hold.campaigns_only) == ("campaigns", "131048", True)
    assert [type(signal) for signal in platform.signals] == [Held]

    platform.ahead_ms += DAY_MS + 1_000
    assert await send(platform, next_one) == {"status": "sent"}
    message = await platform.message(refused)
    assert (message.status, message.attempts) == ("queued", 0)


async def test_an_expired_token_holds_every_number_of_the_account_until_there_is_a_new_one(platform):
    await cloud_number(platform, "support")
    await cloud_number(platform, "stranger", account="1")
    message_id = await platform.queued_message(content=TEMPLATE)
    platform.gateway.answers.append(refusal("190"))

    assert await send(platform, message_id) == RateLimited(30_000)
    assert await send(platform, message_id) == RateLimited(60_000)
    by_number = {
        id_: await numbers(platform).holds(platform.organization.id, id_) for id_ in ("shop", "support", "stranger")
    }
    assert {id_: len(holds) for id_, holds in by_number.items()} == {"shop": 1, "support": 1, "stranger": 0}
    assert "give the number a new access token" in by_number["support"][0].reason

    await numbers(platform).connect(
        organization_id=platform.organization.id, instance_id="support", access_token="EAAanother-token"
    )
    assert await send(platform, message_id) == {"status": "sent"}


async def test_a_missing_template_fails_its_message_holds_its_campaigns_and_no_other(platform):
    handler = platform.handlers()[OUTBOUND]
    first, second = await campaign_message(platform), await campaign_message(platform, "+5511999990002")
    other = await campaign_message(platform, "+5511999990003", OTHER)
    by_hand = await platform.queued_message(to="+5511999990004", content=TEMPLATE)
    platform.gateway.answers.append(refusal("132001"))

    assert await send(platform, first, handler) == {"status": "failed", "code": "132001"}
    assert await send(platform, second, handler) == Snooze(60_000)
    assert await send(platform, other, handler) == {"status": "sent"}
    assert await send(platform, by_hand, handler) == {"status": "sent"}

    await numbers(platform).release(platform.organization.id, "shop", what="template:news/pt_BR")
    assert await send(platform, second, handler) == {"status": "sent"}


async def test_who_stopped_marketing_gets_no_campaign_and_is_told_of(platform):
    first, second = await campaign_message(platform), await campaign_message(platform)
    reply = await platform.queued_message()
    await wrote(platform)
    platform.gateway.answers.append(refusal("131050"))

    assert await send(platform, first) == {"status": "failed", "code": "131050"}
    assert await send(platform, second) == {"status": "skipped", "code": "suppressed"}
    assert await send(platform, reply) == {"status": "sent"}
    (signal,) = platform.signals
    message = await platform.message(first)
    assert isinstance(signal, Suppressed)
    assert (signal.contact_id, signal.code) == (message.contact_id, "131050")


async def test_who_gets_much_marketing_is_tried_a_day_later_and_twice_at_most(platform):
    message_id = await campaign_message(platform)
    reply = await platform.queued_message()
    await wrote(platform)
    platform.gateway.answers.extend([refusal("131049")])
    handler = platform.handlers()[OUTBOUND]

    assert await send(platform, message_id, handler) == Snooze(DAY_MS)
    assert await send(platform, reply, handler) == {"status": "sent"}
    platform.gateway.answers.extend([refusal("131049")] * 2)
    waiting = await send(platform, message_id)
    assert isinstance(waiting, Snooze)
    assert DAY_MS - 60_000 < waiting.delay_ms <= DAY_MS
    platform.ahead_ms += DAY_MS
    assert await send(platform, message_id) == Snooze(2 * DAY_MS)
    platform.ahead_ms += 2 * DAY_MS
    assert await send(platform, message_id) == {"status": "failed", "code": "131049"}
    assert len(platform.gateway.sent) == 4


async def test_a_pair_that_is_too_fast_rests_alone_and_ever_longer(platform):
    handler = platform.handlers()[OUTBOUND]
    first, second = await platform.queued_message(), await platform.queued_message()
    elsewhere = await platform.queued_message(to="+5511999990002")
    await wrote(platform)
    await wrote(platform, "+5511999990002")
    platform.gateway.answers.extend([refusal("131056"), refusal("131056")])

    assert await send(platform, first, handler) == Snooze(1_000)
    held = await send(platform, second, handler)
    assert isinstance(held, Snooze)
    platform.ahead_ms += 1_000
    assert await send(platform, second, handler) == Snooze(4_000)
    platform.ahead_ms += 4_000
    assert [await send(platform, each, handler) for each in (elsewhere, first, second)] == [{"status": "sent"}] * 3


async def test_a_number_that_is_too_fast_is_halved_once_and_recovers(platform):
    handler = platform.handlers()[OUTBOUND]
    ids = [await platform.queued_message(to=f"+551199999{number:04d}", content=TEMPLATE) for number in range(4)]
    gathered = [refusal("130429"), refusal("130429")]
    platform.gateway.answers.extend(gathered)

    first = await send(platform, ids[0], handler)
    assert isinstance(first, RateLimited)
    assert 1_000 <= first.delay_ms <= 5_000
    other_process = platform.handlers()[OUTBOUND]
    assert isinstance(await send(platform, ids[1], other_process), RateLimited)
    assert [signal.per_s for signal in platform.signals if isinstance(signal, RateChanged)] == [40.0]

    platform.ahead_ms += 30_000
    assert await send(platform, ids[2], handler) == {"status": "sent"}
    assert platform.signals[-1].per_s == 52.0
    platform.ahead_ms += 120_000
    assert await send(platform, ids[3], handler) == {"status": "sent"}
    assert platform.signals[-1].per_s is None
    state = await numbers(platform).find(platform.organization.id, "shop")
    assert state.per_s is None


async def test_what_has_to_wait_uses_up_no_turn_and_no_room(platform):
    await numbers(platform).set_messaging_limit(platform.organization.id, "shop", 1)
    await send(platform, await platform.queued_message(content=TEMPLATE))
    waiting = await platform.queued_message(to="+5511999990002", content=TEMPLATE)
    for _ in range(3):
        assert isinstance(await send(platform, waiting), Snooze)
    assert await platform.count("pair_rates") == 1
    assert await platform.count("opened_chats") == 1


async def test_a_token_is_sealed_in_the_table_and_held_for_this_organization_alone(platform):
    async with platform.database.begin() as connection:
        rows = (await connection.exec_driver_sql("SELECT access_token FROM cloud_numbers")).scalars().all()
        secrets = (await connection.exec_driver_sql("SELECT app_secret FROM instances")).scalars().all()
    assert all(each.startswith("enc:1:") for each in [*rows, *secrets])
    mine = await numbers(platform)(organization_id=platform.organization.id, instance_id="shop")
    assert mine is not None
    assert mine.access_token == "EAAtoken-of-a-test"
    assert await numbers(platform)(organization_id=UUID(int=1), instance_id="shop") is None


async def test_a_number_that_was_deleted_takes_its_holds_along(platform):
    platform.gateway.answers.append(refusal("131048"))
    await send(platform, await campaign_message(platform))
    async with platform.database.begin() as connection:
        await connection.exec_driver_sql("DELETE FROM instances WHERE id = 'shop'")
    assert await platform.count("sending_holds") == 0


async def test_a_rate_that_was_slowed_is_read_by_a_process_that_starts_anew(platform):
    await set_number(
        platform.database,
        rate_per_s=10.0,
        rate_changed_at=(await platform.message(await platform.queued_message(content=TEMPLATE))).created_at
        - timedelta(seconds=20),
    )
    assert await send(platform, await platform.queued_message(content=TEMPLATE)) == {"status": "sent"}
    assert [signal.per_s for signal in platform.signals] == [18.0]


async def test_of_many_at_once_no_more_go_than_the_portfolio_has_room_for(platform):
    await numbers(platform).set_messaging_limit(platform.organization.id, "shop", 3)
    handler = platform.handlers()[OUTBOUND]
    ids = [await platform.queued_message(to=f"+55119999900{place:02}", content=TEMPLATE) for place in range(8)]
    outcomes = await asyncio.gather(*(send(platform, id_, handler) for id_ in ids))
    assert sum(outcome == {"status": "sent"} for outcome in outcomes) == 3
    assert sum(isinstance(outcome, Snooze) for outcome in outcomes) == 5
    assert (await platform.count("opened_chats"), await platform.count("pair_rates")) == (3, 3)


async def test_of_many_to_one_person_at_once_no_more_go_than_its_turns(platform):
    contact_id = (await platform.message(await platform.queued_message())).contact_id
    pair = Pair(organization_id=platform.organization.id, instance_id="shop", contact_id=contact_id)
    async with platform.database.begin() as connection:
        now_ms = platform.clock()
        delays = await take(connection, [Wish(pair, answers=True)] * 50, now_ms=now_ms)
        assert delays == [0] * 45 + [6_000] * 5
        assert await take(connection, [Wish(pair, answers=True)], now_ms=now_ms + 6_000) == [0]
        assert await take(connection, [Wish(pair, answers=True)], now_ms=now_ms + 6_000) == [6_000]
