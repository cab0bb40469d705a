"""``instance.connected|disconnected|restricted`` of numbers on the Cloud API: each change once."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from berrante.gateways.refusals import refusal
from berrante.messaging.cloud_numbers import CloudNumbers
from berrante.messaging.endpoints import Endpoint
from berrante.messaging.instance_states.deciding import standing
from berrante.messaging.outbound.policy.holding import Hold
from berrante.messaging.queues import QueueName
from tests.cloud.rules import cloud_number
from tests.cloud.test_updates import told as update
from tests.messaging.hooks import endpoint_at, log_of
from tests.messaging.platform import NOW_MS, Platform

NUMBER = {"display_phone_number": "1"}
LOCKED = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "DISABLE"}}
FREE = {"event": "DISABLED_UPDATE", "ban_info": {"waba_ban_state": "REINSTATE"}}


async def _endpoint(platform: Platform) -> Endpoint:
    return await endpoint_at(platform, "http://127.0.0.1:9/", "instance.*")


async def _events(platform: Platform, endpoint: Endpoint) -> list[tuple[str, str]]:
    log = await log_of(platform, endpoint)
    found = [(each.event.removeprefix("instance."), json.loads(each.body)["data"]) for each in reversed(log)]
    return [(event, data["instance_id"]) for event, data in found]


async def _last(platform: Platform, endpoint: Endpoint) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((await log_of(platform, endpoint))[0].body)["data"]
    return data


async def test_a_token_connects_a_number_and_one_that_expired_disconnects_all_of_the_account(
    platform: Platform,
) -> None:
    endpoint = await _endpoint(platform)
    await cloud_number(platform, "support")
    platform.gateway.answers += [refusal("190"), refusal("190")]
    handler = platform.handlers()[QueueName.OUTBOUND]
    for number in range(2):
        message_id = await platform.queued_message(to=f"+551199999000{number}", content=None)
        await _send(platform, message_id, handler)
    for instance_id in ("support", "shop"):
        await CloudNumbers(platform.database, platform.queues, clock=platform.clock).connect(
            organization_id=platform.organization.id, instance_id=instance_id, access_token="EAAnew-token"
        )
    assert await _events(platform, endpoint) == [
        ("connected", "support"),
        ("disconnected", "shop"),
        ("disconnected", "support"),
        ("connected", "shop"),
        ("connected", "support"),
    ]
    assert (await platform.queues.webhook.counts())["waiting"] == 5


async def _send(platform: Platform, message_id: Any, handler: Any) -> None:
    async with platform.database.begin() as connection:
        await connection.exec_driver_sql("UPDATE contacts SET last_message_at = now()")
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id), handler=handler)


async def test_what_whatsapp_says_of_the_account_is_told_of_its_numbers_once(platform: Platform) -> None:
    await cloud_number(platform, "support")
    await cloud_number(platform, "stranger", account="1")
    endpoint = await _endpoint(platform)
    await update(platform, "account_update", LOCKED)
    await update(platform, "account_update", LOCKED, at=NOW_MS + 1)
    await update(platform, "phone_number_quality_update", {"event": "UNFLAGGED"} | NUMBER, subject="q")
    assert await _events(platform, endpoint) == [("restricted", "shop"), ("restricted", "support")]
    data = await _last(platform, endpoint)
    assert (data["code"], data["until"]) == ("account_disabled", None)
    assert "see WhatsApp Manager" in data["reason"]
    await update(platform, "account_update", FREE, at=NOW_MS + 2)
    assert (await _events(platform, endpoint))[2:] == [("connected", "shop"), ("connected", "support")]


async def test_a_flagged_number_is_restricted_until_it_is_not(platform: Platform) -> None:
    endpoint = await _endpoint(platform)
    for number, event in enumerate(("ONBOARDING", "FLAGGED", "FLAGGED", "UNFLAGGED")):
        await update(platform, "phone_number_quality_update", {"event": event}, subject="q", at=NOW_MS + number)
    assert [event for event, _ in await _events(platform, endpoint)] == ["restricted", "connected"]


async def test_a_restriction_that_ends_by_itself_is_told_by_the_reconciler(platform: Platform) -> None:
    endpoint = await _endpoint(platform)
    until_s = (platform.clock() + 3_600_000) // 1_000
    restricted = {"restriction_type": "RESTRICTED_BIZ_INITIATED_MESSAGING", "expiration": until_s}
    await update(platform, "account_update", {"event": "ACCOUNT_RESTRICTION", "restriction_info": [restricted]})
    assert (await _last(platform, endpoint))["until"] is not None
    assert (await platform.sweep()).standings == 0
    platform.ahead_ms += 3_601_000
    assert [(await platform.sweep()).standings for _ in range(2)] == [1, 0]
    assert [event for event, _ in await _events(platform, endpoint)] == ["restricted", "connected"]


async def test_neither_a_held_template_nor_a_pause_nor_a_preference_is_a_change_of_the_number(
    platform: Platform,
) -> None:
    endpoint = await _endpoint(platform)
    news = {"event": "PAUSED", "message_template_name": "news", "message_template_language": "pt_BR"}
    await update(platform, "message_template_status_update", news, subject="t")
    await platform.queued_message()
    stop = {"wa_id": "5511999990001", "category": "marketing_messages", "value": "stop"}
    await update(platform, "user_preferences", stop, subject="m")
    assert await _events(platform, endpoint) == []


async def test_many_at_once_leave_what_is_true_and_tell_no_state_twice_in_a_row(platform: Platform) -> None:
    endpoint = await _endpoint(platform)
    numbers = CloudNumbers(platform.database, platform.queues, clock=platform.clock)
    for round_ in range(3):
        await asyncio.gather(
            update(platform, "account_update", LOCKED, subject=f"a{round_}"),
            numbers.release(platform.organization.id, "shop"),
            update(platform, "phone_number_quality_update", {"event": "FLAGGED"}, subject=f"q{round_}"),
        )
    await numbers.release(platform.organization.id, "shop")
    await update(platform, "phone_number_quality_update", {"event": "UNFLAGGED"}, subject="q", at=NOW_MS + 9)
    states = [event for event, _ in await _events(platform, endpoint)]
    assert states[-1] == "connected"
    assert all(one != other for one, other in itertools.pairwise(states))


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        (["account/131042"], "restricted"),
        (["campaigns/131048"], "restricted"),
        (["account/131042", "account/190"], "disconnected"),
        (["number/133010"], "disconnected"),
        (["template:news/pt_BR/132015", "contact:1/131050"], "connected"),
    ],
)
def test_what_holds_make_of_a_number(codes: list[str], state: str) -> None:
    holds = [
        Hold(what=what, code=code, reason="-", campaigns_only=what == "campaigns", until_ms=None)
        for what, code in (each.rsplit("/", 1) for each in codes)
    ]
    assert standing(holds, has_token=True, quality=None).state.value == state
    assert standing(holds, has_token=False, quality=None).state.value == "disconnected"
