"""Numbers take turns, and each has its pace: from the database to the lane, and back to the reader of the API."""

import asyncio

from berrante.app import Application
from berrante.app.options import worker_options
from berrante.engine import GroupLimits, GroupRate, Job
from berrante.engine.testing import process_all
from berrante.gateways.protocol import IncomingMessage
from berrante.messaging.queues import QueueName
from tests.app.process import client_of, working
from tests.waiting import until
from tests.web.tenants import Tenant, tenant

PACE = {"rate": {"max": 1, "per_ms": 30_000}, "burst": 1, "jitter": 0.2}
LIMITS = GroupLimits(rate=GroupRate(max=1, duration_ms=30_000), jitter=0.2)


async def test_a_new_pace_is_its_lanes_at_once_and_mended_at_the_start(application: Application) -> None:
    acme = await tenant(application)
    groups = application.queues.outbound.groups
    async with client_of(application) as client:
        path = f"/v1/instances/{acme.instance_id}"
        answer = await client.patch(path, json={"settings": {"pace": PACE}}, headers=acme.headers)
        assert answer.status_code == 200, answer.text
        assert await groups.get(acme.instance_id) == LIMITS
        assert (await client.post(f"{path}/pause", headers=acme.headers)).status_code == 200
        assert await groups.pause(acme.instance_id) is False  # it is already
    await application.connection.redis.flushdb()
    assert await application.pacing.reconcile(await application.instances.list_all()) == 1
    assert await groups.get(acme.instance_id) == LIMITS
    assert await groups.pause(acme.instance_id) is False
    async with working(application):
        await until(lambda: _has(application, acme))


async def test_a_queued_message_says_why_it_waits(application: Application) -> None:
    acme = await tenant(application)
    await application.instances.update(acme.id, acme.instance_id, settings={"pace": PACE | {"jitter": 0}})
    async with client_of(application) as client:
        ids = []
        for number in range(3):
            path = f"/v1/instances/{acme.instance_id}/messages"
            body = {"to": f"+551198765432{number}", "type": "text", "text": "Olá"}
            ids.append((await client.post(path, json=body, headers=acme.headers)).json()["id"])
        await process_all(application.queues.outbound, _sent)
        shown = (await client.get(f"/v1/messages/{ids[2]}", headers=acme.headers)).json()
        assert shown["status"] == "queued"
        assert (shown["queued"]["ahead"], shown["queued"]["reason"]) == (1, "the group's rate")
        first = (await client.get(f"/v1/messages/{ids[1]}", headers=acme.headers)).json()
        assert first["queued"]["expected_at"] < shown["queued"]["expected_at"]
        assert shown["queued"]["since"] == shown["created_at"]


async def test_queues_take_turns_by_number(application: Application) -> None:
    acme, other = await tenant(application), await tenant(application, "other")
    await application.intake([_written(acme, n) for n in range(20)])
    await application.intake([_written(other, n) for n in range(2)])
    order: list[str] = []
    most: dict[str, int] = {}
    active: dict[str, int] = {}

    async def handle(job: Job) -> None:
        name = job.data["instanceId"]
        order.append(name)
        active[name] = active.get(name, 0) + 1
        most[name] = max(most.get(name, 0), active[name])
        await asyncio.sleep(0)
        active[name] -= 1

    await process_all(application.queues.message, handle, worker_options(application.settings, QueueName.MESSAGE))
    assert set(order[:4]) == {"sales", "other"}
    assert order.index("other") < 2
    assert [n for n, name in enumerate(order) if name == "other"][-1] < 5
    assert most == {"sales": 1, "other": 1}


async def _has(application: Application, of: Tenant) -> bool:
    return await application.queues.outbound.groups.get(of.instance_id) == LIMITS


async def _sent(_: Job) -> None: ...


def _written(of: Tenant, number: int) -> IncomingMessage:
    return IncomingMessage(
        organization_id=of.id,
        instance_id=of.instance_id,
        sender="+5511987654321",
        message_id=f"m{number}",
        sent_at_ms=1_795_000_000_000 + number,
        content={"type": "text", "text": "oi"},
    )
