"""``instance.connected|disconnected|restricted`` of a number on Baileys, told by its sidecar: each change once."""

import json
from typing import Any, ClassVar

import pytest
from sqlalchemy import select, update

from berrante.gateways.baileys.refusals import refused
from berrante.messaging.baileys.models import baileys_sessions
from berrante.messaging.cloud_numbers.models import number_updates
from berrante.messaging.instance_states import reported
from berrante.messaging.outbound.signals import Released
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.test_new_chats import FAR, LOCK, told
from tests.messaging.gateway import ScriptedGateway
from tests.messaging.hooks import endpoint_at, log_of
from tests.messaging.platform import Platform
from tests.waiting import until


async def test_each_change_is_told_once_and_a_sidecar_that_starts_again_tells_nothing(
    open_sidecar: OpenSidecar, whatsapp: FakeWhatsApp, platform: Platform
) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "instance.*")
    platform.work(QueueName.MESSAGE)
    expected: list[tuple[str, str | None]] = []

    async def becomes(*change: tuple[str, str | None]) -> None:
        expected.extend(change)

        async def is_told() -> bool:
            return len(await log_of(platform, endpoint)) >= len(expected)

        await until(is_told, timeout_s=20)
        bodies = [(each.event, json.loads(each.body)["data"]) for each in reversed(await log_of(platform, endpoint))]
        assert [(event.removeprefix("instance."), data.get("code")) for event, data in bodies] == expected

    async def last_word() -> object:
        async with platform.database.begin() as connection:
            return (await connection.execute(select(number_updates.c.at))).scalar_one()

    async with open_sidecar() as made:
        await pair(made, whatsapp, platform)
        await becomes(("connected", None))
        await told(made, whatsapp, LOCK, stops=True, is_active=True, time_enforcement_ends=FAR)
        await becomes(("restricted", "reachout_timelock"))
        await told(made, whatsapp, LOCK, stops=False, is_active=False)
        await becomes(("connected", None))

        before = await last_word()
        await made.kill()
        await made.ready()
        await made.until_state("open")

        async def has_spoken() -> bool:
            return await last_word() != before

        await until(has_spoken, timeout_s=20)
        await whatsapp.order("close", user=NUMBER, code=440)
        await becomes(("disconnected", "elsewhere"))
        await made.sidecars.connect("sales", organization_id=platform.organization.id)
        await becomes(("connected", None))
        await whatsapp.order("close", user=NUMBER, code=403)
        await becomes(("restricted", "banned"))
        await pair(made, whatsapp, platform)
        await becomes(("connected", None))
        await made.sidecars.log_out("sales")
        await becomes(("disconnected", "not_paired"))


@pytest.mark.parametrize(
    ("report", "state", "code"),
    [
        ({"state": "open"}, "connected", None),
        ({"state": "open", "locked": True, "locked_until": 1_001}, "restricted", "reachout_timelock"),
        ({"state": "open", "locked": True, "locked_until": None}, "restricted", "reachout_timelock"),
        ({"state": "open", "locked": True, "locked_until": 1_000}, "connected", None),
        ({"state": "open", "locked": False, "locked_until": 1_001}, "connected", None),
        ({"state": "waiting", "reason": "Connection Terminated"}, "disconnected", "offline"),
        ({"state": "absent"}, "disconnected", "not_paired"),
        ({"state": "logged_out"}, "disconnected", "logged_out"),
        ({"state": "elsewhere"}, "disconnected", "elsewhere"),
        ({"state": "banned", "locked": True}, "restricted", "banned"),
    ],
)
def test_what_a_report_means(report: dict[str, Any], state: str, code: str | None) -> None:
    stands = reported(report, now_ms=1_000)

    assert stands is not None
    assert (stands.state.value, stands.code) == (state, code)
    assert (stands.reason is None) == (state == "connected")


@pytest.mark.parametrize("state", ["expired", "qr", "connecting", "of a later version", None, 1])
def test_a_pairing_says_nothing_of_how_a_number_stands(state: object) -> None:
    assert reported({"state": state}, now_ms=1_000) is None


async def report(platform: Platform, **details: Any) -> None:
    """Have it say so, as the sidecar does."""
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "kind": "connection",
        "subject": "connection",
        "at": platform.clock(),
        "details": {"reason": None, "locked": False, "locked_until": None} | details,
        "accountId": None,
    }
    await platform.handle(QueueName.MESSAGE, "update", data)


async def test_a_time_lock_that_ends_by_itself_is_told_by_the_reconciler(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "instance.*")
    ends = platform.clock() + 60_000
    await report(platform, state="open", locked=True, locked_until=ends)
    assert (await platform.sweep()).standings == 0
    platform.ahead_ms += 60_000

    assert [(await platform.sweep()).standings for _ in range(2)] == [1, 0]
    assert [each.event for each in reversed(await log_of(platform, endpoint))] == [
        "instance.restricted",
        "instance.connected",
    ]


async def test_a_number_that_was_unlinked_unheard_is_found(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "instance.*")
    await report(platform, state="open")
    async with platform.database.begin() as connection:
        row = {"instance_id": "sales", "organization_id": platform.organization.id, "paired": True}
        await connection.execute(baileys_sessions.insert().values(row))
    assert (await platform.sweep()).standings == 0
    async with platform.database.begin() as connection:
        await connection.execute(update(baileys_sessions).values(paired=False))
    assert [(await platform.sweep()).standings for _ in range(2)] == [1, 0]
    assert [each.event for each in reversed(await log_of(platform, endpoint))] == [
        "instance.connected",
        "instance.disconnected",
    ]


class OverBaileys(ScriptedGateway):
    """Answers as a test says, in the sidecar's stead."""

    name: ClassVar[str] = "baileys"


async def refuse_one(platform: Platform, **said: Any) -> None:
    """Have a message sent that is refused."""
    platform.gateway = OverBaileys()
    platform.gateway.answers.append(refused(said))
    message_id = await platform.queued_message()
    await platform.handle(QueueName.OUTBOUND, "send", platform.send_data(message_id))


@pytest.mark.parametrize("code", ["logged_out", "elsewhere", "banned"])
async def test_a_number_that_is_connected_again_waits_for_no_hold_to_end(platform: Platform, code: str) -> None:
    await report(platform, state="open")
    await refuse_one(platform, code="offline", state=code)
    await report(platform, state=code)
    assert await platform.count("sending_holds") == 1
    platform.signals.clear()

    await report(platform, state="open")
    assert await platform.count("sending_holds") == 0
    released = Released(organization_id=platform.organization.id, instance_id="sales")
    assert platform.signals == [released]
    await report(platform, state="open", locked=True, locked_until=None)
    assert platform.signals == [released]


async def test_what_else_holds_a_number_stays_when_it_is_connected_again(platform: Platform) -> None:
    await report(platform, state="waiting", reason="the link broke")
    await refuse_one(platform, code="401")
    await report(platform, state="open")
    assert await platform.count("sending_holds") == 1
