"""What WhatsApp says of numbers, accounts, templates and contacts: the last word holds, in whatever order it comes."""

from typing import Any

import pytest

from berrante.gateways.protocol import NumberUpdate
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.cloud_numbers.meaning import Lift, SetLimit, SetQuality, meaning_of
from berrante.messaging.messages.jobs import job_of
from berrante.messaging.outbound.signals import Held, Suppressed
from berrante.messaging.queues import QueueName
from tests.cloud.rules import cloud_number
from tests.messaging.platform import NOW_MS, Platform

NEWS = {"message_template_name": "news", "message_template_language": "pt_BR"}


async def told(
    platform: Platform,
    kind: str,
    details: dict[str, Any],
    *,
    subject: str = "account",
    at: int = NOW_MS,
    account="9000",
) -> Any:
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "shop",
        "kind": kind,
        "subject": subject,
        "at": at,
        "details": details,
        "accountId": account,
    }
    return await platform.handle(QueueName.MESSAGE, "update", data)


async def template(platform: Platform, event: str, at: int) -> Any:
    return await told(
        platform, "message_template_status_update", {"event": event, **NEWS}, subject="template:news/pt_BR", at=at
    )


async def held(platform: Platform, id_: str = "shop") -> dict[str, str]:
    numbers = CloudNumbers(platform.database, platform.queues, clock=platform.clock)
    return {hold.what: hold.code for hold in await numbers.holds(platform.organization.id, id_)}


async def test_a_paused_template_is_held_until_whatsapp_resumes_it(platform):
    assert await template(platform, "PAUSED", NOW_MS) == {
        "status": "applied",
        "kind": "message_template_status_update",
    }
    assert await held(platform) == {"template:news/pt_BR": "132015"}
    assert [type(signal) for signal in platform.signals] == [Held]
    await template(platform, "APPROVED", NOW_MS + 1_000)
    assert await held(platform) == {}


async def test_news_that_comes_late_does_not_undo_what_came_after_it(platform):
    await template(platform, "APPROVED", NOW_MS + 1_000)
    assert (await template(platform, "PAUSED", NOW_MS))["status"] == "old"
    assert await held(platform) == {}
    await template(platform, "DISABLED", NOW_MS + 2_000)
    assert (await template(platform, "APPROVED", NOW_MS + 1_000))["status"] == "old"
    assert await held(platform) == {"template:news/pt_BR": "132016"}


async def test_an_update_of_an_account_is_one_of_all_its_numbers_and_no_others(platform):
    await cloud_number(platform, "support")
    await cloud_number(platform, "stranger", account="1")
    await told(platform, "account_update", {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}})
    assert [await held(platform, id_) for id_ in ("shop", "support", "stranger")] == [
        {"account": "account_disabled"},
        {"account": "account_disabled"},
        {},
    ]
    reinstated = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}
    await told(platform, "account_update", reinstated, at=NOW_MS + 1_000)
    assert await held(platform, "support") == {}


async def test_an_update_of_another_account_changes_nothing(platform):
    details = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}
    assert (await told(platform, "account_update", details, account="666"))["status"] == "old"
    assert await held(platform) == {}


async def test_restrictions_hold_what_they_restrict_until_they_expire(platform):
    expires_s = (platform.clock() + 3_600_000) // 1_000
    details = {
        "event": "ACCOUNT_RESTRICTION",
        "restriction_info": [
            {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": expires_s},
            {"restriction_type": "RESTRICTED_ADD_PHONE_NUMBER_ACTION", "expiration": expires_s},
        ],
    }
    await told(platform, "account_update", details)
    assert await held(platform) == {"campaigns": "restricted"}
    platform.ahead_ms += 3_601_000
    assert await held(platform) == {}


async def test_limit_and_quality_are_kept(platform):
    await told(platform, "phone_number_quality_update", {"event": "FLAGGED", "current_limit": "TIER_1K"}, subject="q")
    state = await CloudNumbers(platform.database, platform.queues, clock=platform.clock).find(
        platform.organization.id, "shop"
    )
    assert (state.quality, state.messaging_limit) == ("FLAGGED", 1_000)
    await told(platform, "business_capability_update", {"max_daily_conversation_per_phone": -1}, subject="c")
    state = await CloudNumbers(platform.database, platform.queues, clock=platform.clock).find(
        platform.organization.id, "shop"
    )
    assert state.messaging_limit is None


async def test_quality_is_of_the_number_that_is_named_and_a_limit_of_all(platform):
    await cloud_number(platform, "support")
    async with platform.database.begin() as connection:
        await connection.exec_driver_sql(
            "UPDATE instances SET display_number = '+55 11 4000-0000' WHERE id = 'support'"
        )
    details = {"event": "FLAGGED", "current_limit": "TIER_1K", "display_phone_number": "551140000000"}
    await told(platform, "phone_number_quality_update", details)
    numbers = CloudNumbers(platform.database, platform.queues, clock=platform.clock)
    states = [await numbers.find(platform.organization.id, id_) for id_ in ("shop", "support")]
    assert [(state.quality, state.messaging_limit) for state in states] == [(None, 1_000), ("FLAGGED", 1_000)]


async def test_a_contact_who_stops_marketing_gets_no_campaign_until_it_resumes(platform):
    message_id = await platform.queued_message()
    contact_id = (await platform.message(message_id)).contact_id
    preference = {"wa_id": "5511999990001", "category": "marketing_messages", "value": "stop"}
    await told(platform, "user_preferences", preference, subject="m")
    assert await held(platform) == {f"contact:{contact_id}": "131050"}
    assert [(type(each), each.contact_id) for each in platform.signals] == [(Suppressed, contact_id)]
    await told(platform, "user_preferences", preference | {"value": "resume"}, subject="m", at=NOW_MS + 1)
    assert await held(platform) == {}


async def test_a_preference_of_nobody_we_know_is_only_remembered(platform):
    for whom in ("5511999990009", "nobody"):
        preference = {"wa_id": whom, "category": "marketing_messages", "value": "stop"}
        assert (await told(platform, "user_preferences", preference, subject=whom))["status"] == "applied"
    assert await platform.count("number_updates") == 2


async def test_a_change_of_number_is_remembered(platform):
    await told(platform, "user_changed_number", {"from": "1", "to": "2\0"}, subject="identity:1")
    async with platform.database.begin() as connection:
        rows = (await connection.exec_driver_sql("SELECT details ->> 'to' FROM number_updates")).scalars().all()
    assert rows == ["2\ufffd"]


async def test_the_same_update_is_the_same_job(platform):
    update = NumberUpdate(
        organization_id=platform.organization.id,
        instance_id="shop",
        kind="account_update",
        subject="account",
        at_ms=0,
        details={"event": "X"},
    )
    first, second = job_of(update, platform.queues.message), job_of(update, platform.queues.message)
    assert first.options.job_id == second.options.job_id
    assert ":" not in first.options.job_id
    platform.work(QueueName.MESSAGE)
    await platform.intake([update])
    await platform.finished(QueueName.MESSAGE, first.options.job_id)
    assert await platform.count("number_updates") == 1


@pytest.mark.parametrize(
    ("kind", "details", "meaning"),
    [
        ("phone_number_quality_update", {"event": "THROUGHPUT_UPGRADE", "current_limit": "TIER_1K"}, [SetQuality]),
        ("phone_number_quality_update", {"event": "UPGRADE", "current_limit": "TIER_NEW"}, [SetQuality]),
        ("business_capability_update", {"max_daily_conversations_per_business": "TIER_250"}, [SetLimit]),
        ("business_capability_update", {}, []),
        ("account_update", {"event": "VERIFIED_ACCOUNT"}, []),
        ("account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": "x"}, []),
        ("account_review_update", {"decision": "APPROVED"}, [Lift]),
        ("message_template_status_update", {"event": "FLAGGED", **NEWS}, []),
        ("template_category_update", {"event": "PAUSED"}, []),
    ],
)
def test_what_an_update_means(kind, details, meaning):
    assert [type(each) for each in meaning_of(kind, details)] == meaning
