"""``instance.connected|disconnected|restricted`` of a number on Baileys, told by its sidecar: each change once."""

import json

from sqlalchemy import select, update

from berrante.messaging.baileys.models import baileys_sessions
from berrante.messaging.cloud_numbers.models import number_updates
from berrante.messaging.queues import QueueName
from tests.gateways.baileys.conftest import OpenSidecar, pair
from tests.gateways.baileys.fake_whatsapp import NUMBER, FakeWhatsApp
from tests.gateways.baileys.test_new_chats import FAR, LOCK, told
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


async def test_a_number_that_was_unlinked_unheard_is_found(platform: Platform) -> None:
    endpoint = await endpoint_at(platform, "http://127.0.0.1:9/", "instance.*")
    data = {
        "organizationId": str(platform.organization.id),
        "instanceId": "sales",
        "kind": "connection",
        "subject": "connection",
        "at": platform.clock(),
        "details": {"state": "connected", "code": None, "reason": None, "until": None},
        "accountId": None,
    }
    await platform.handle(QueueName.MESSAGE, "update", data)
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
