"""Three shards: a cell's keys are in one slot, and workers go where the slot goes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from berrante.app import Application
from berrante.embedded.valkey import _program
from berrante.engine import Backoff, Connection, Flow, FlowProducer, Job, JobOptions, NewJob, Queue, State, Worker
from berrante.engine.cluster import ClusterAddress
from berrante.engine.notices import JobCompleted
from berrante.messaging.messages import MessageStatus
from berrante.settings import load
from berrante.settings.loading import SettingsInvalid
from tests.app.process import settings_for
from tests.app.process import working as all_working
from tests.probes import Probe, working
from tests.waiting import until

SLOTS = 16_384


class Shards:
    """Three servers of one cluster, each with a third of the slots."""

    def __init__(self, ports: list[int], clients: list["Redis"]) -> None:
        self.ports = ports
        self.clients = clients

    def url(self, cell: str = "") -> str:
        return f"redis+cluster://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{cell}"

    async def owner(self, cell: str) -> int:
        """Which of the three has the cell's slot."""
        slot = ClusterAddress.of(self.url(cell)).slot
        for first, last, node, *_ in await self.clients[0].execute_command("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.ports.index(node[1])
        raise AssertionError(slot)

    async def move(self, cell: str, to: int) -> None:
        """Move the cell's slot with its keys, as an operator does who spreads the load."""
        slot, was = ClusterAddress.of(self.url(cell)).slot, await self.owner(cell)
        name = await self.clients[to].execute_command("CLUSTER MYID")
        await self.clients[was].execute_command("CLUSTER MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", name)

        async def has_moved() -> bool:
            return await self.owner(cell) == to

        await until(has_moved, timeout_s=30)


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


@pytest_asyncio.fixture
async def shards(server_folder: Path) -> AsyncIterator[Shards]:
    ports = _free_ports(6)
    own, buses = ports[:3], ports[3:]
    processes, clients = [], []
    for port, bus in zip(own, buses, strict=True):
        folder = server_folder / str(port)
        folder.mkdir()
        config = folder / "valkey.conf"
        config.write_text(
            f"port {port}\nbind 127.0.0.1\ndir {folder}\ncluster-enabled yes\ncluster-port {bus}\nsave ''\n"
            "cluster-node-timeout 5000\nmaxmemory-policy noeviction\nappendonly no\n"
        )
        processes.append(
            await asyncio.create_subprocess_exec(
                str(_program()), str(config), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
            )
        )
        clients.append(Redis(port=port, protocol=2))

    async def answer() -> bool:
        try:
            return all([await client.ping() for client in clients])
        except (RedisError, OSError):
            return False

    async def are_one() -> bool:
        told = [bytes(await client.execute_command("CLUSTER", "INFO")).decode() for client in clients]
        return all("cluster_state:ok" in each and "cluster_known_nodes:3" in each for each in told)

    try:
        await until(answer, timeout_s=30)
        third = SLOTS // 3 + 1
        for number, client in enumerate(clients):
            first, last = number * third, min(SLOTS, (number + 1) * third) - 1
            await client.execute_command("CLUSTER ADDSLOTSRANGE", first, last)
            await client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
            if number:
                await client.execute_command("CLUSTER MEET", "127.0.0.1", own[0], buses[0])
        await until(are_one, timeout_s=30)
        yield Shards(own, clients)
    finally:
        for client in clients:
            await client.aclose()
        for process in processes:
            process.terminate()
            await process.wait()


async def test_jobs_of_every_kind_run_in_a_cell_and_stay_in_its_slot(shards: Shards) -> None:
    seen: list[str] = []

    async def handle(job: Job) -> object:
        seen.append(job.name)
        if job.name == "flaky" and job.attempt == 1:
            raise ValueError("the first attempt fails")
        return job.data

    async with Connection.from_url(shards.url("one")) as connection:
        queue, probe = Queue("q", connection, prefix="{one}"), Probe()
        async with working("q", handle, connection, prefix="{one}", probe=probe):
            await queue.add("plain", {})
            await queue.add_bulk(
                [
                    NewJob("urgent", {}, JobOptions(priority=1)),
                    NewJob("later", {}, JobOptions(delay_ms=20)),
                    NewJob("flaky", {}, JobOptions(attempts=2, backoff=Backoff.fixed(10))),
                ]
            )
            await FlowProducer(connection, prefix="{one}").add(
                Flow(queue="q", name="parent", children=[Flow(queue="q", name="child")])
            )
            await until(lambda: len(probe.of(JobCompleted)) == 6, timeout_s=30)
            assert len(await queue.workers()) == 1
        assert sorted(set(seen)) == ["child", "flaky", "later", "parent", "plain", "urgent"]
    sizes = [await client.dbsize() for client in shards.clients]
    assert [number for number, size in enumerate(sizes) if size] == [await shards.owner("one")]


async def test_workers_go_where_the_slot_goes_and_lose_nothing(shards: Shards) -> None:
    async def handle(job: Job) -> object:
        return job.data

    async with Connection.from_url(shards.url("two")) as connection:
        queue, probe = Queue("q", connection, prefix="{two}"), Probe()
        async with working("q", handle, connection, prefix="{two}", probe=probe):
            await queue.add("before", {})
            await probe.seen(JobCompleted)
            was = await shards.owner("two")
            await shards.move("two", to=(was + 1) % 3)

            async def is_added() -> bool:
                try:
                    await queue.add("after", {}, queue.with_id("after"))
                except RedisError:  # a call that was under way is its caller's to repeat
                    return False
                return True

            await until(is_added, timeout_s=30)
            await until(lambda: [each for each in probe.of(JobCompleted) if each.job.id == "after"], timeout_s=30)
        assert (await queue.counts())[State.COMPLETED] == 2
    assert await shards.clients[was].dbsize() == 0


async def test_the_whole_flow_runs_in_a_cell(shards: Shards, database_url: str) -> None:
    settings = settings_for(redis_url=shards.url("berrante"), database_url=database_url, prefix="{berrante}")
    async with Application.open(settings, latency_ms=5) as application, all_working(application):
        organization = await application.organizations.create("Acme")
        await application.instances.create(organization_id=organization.id, id="sales")
        await application.automations.create(organization_id=organization.id, name="Hi", trigger="any", reply="Welcome")
        application.simulator.write(
            organization_id=organization.id, instance_id="sales", sender="+5511999990001", text="Oi"
        )

        async def is_answered() -> bool:
            found = await application.messages.list(organization.id, limit=10)
            done = {MessageStatus.DELIVERED, MessageStatus.READ}
            return [each.direction for each in found if each.status in done] == ["out"]

        await until(is_answered, timeout_s=40)
        assert await application.queues.dead_letters.count() == 0
    sizes = [await client.dbsize() for client in shards.clients]
    assert [number for number, size in enumerate(sizes) if size] == [await shards.owner("berrante")]


@pytest.mark.parametrize("make", [Queue, lambda *args, **named: Worker(args[0], _no_handler, args[1], **named)])
@pytest.mark.parametrize("prefix", ["bull", "{other}", "bull:{}", "x{berrant}"])
async def test_a_prefix_outside_of_the_cell_is_refused_with_the_remedy(make: Any, prefix: str) -> None:
    async with Connection.from_url("redis+cluster://n1,n2:7001") as connection:
        with pytest.raises(ValueError, match=r"give the prefix '\{berrante\}'"):
            make("q", connection, prefix=prefix)
        make("q", connection, prefix="x{berrante}")


def test_settings_refuse_it_by_name_and_take_the_cells_own() -> None:
    url = SecretStr("redis+cluster://:hush@n1,n2/eu")
    with pytest.raises(SettingsInvalid, match=r"BERRANTE_QUEUE_PREFIX is 'bull'.*BERRANTE_QUEUE_PREFIX=\{eu\}") as told:
        load(redis_url=url)
    assert "hush" not in str(told.value)
    assert load(redis_url=url, queue_prefix="{eu}").queue_prefix == "{eu}"


@pytest.mark.parametrize("url", ["redis+cluster:///cell", "redis+cluster://n1/a/b", "redis+cluster://n1/%7Bx%7D"])
def test_an_address_that_names_no_node_or_no_cell_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="has to name its nodes"):
        Connection.from_url(url)


async def _no_handler(job: Job) -> None:
    raise AssertionError(job.id)
