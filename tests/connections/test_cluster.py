"""Three shards: a cell's keys are in one slot, and workers go where the slot goes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from redis.exceptions import RedisError

from berrante.app import Application
from berrante.engine import Backoff, Connection, Flow, FlowProducer, Job, JobOptions, NewJob, Queue, State, Worker
from berrante.engine.notices import JobCompleted
from berrante.messaging.messages import MessageStatus
from berrante.settings import load
from berrante.settings.loading import SettingsInvalid
from tests.app.process import settings_for
from tests.app.process import working as all_working
from tests.connections.shards import Shards, running
from tests.probes import Probe, working
from tests.waiting import until


@pytest_asyncio.fixture
async def shards(server_folder: Path) -> AsyncIterator[Shards]:
    async with running(server_folder) as shards:
        yield shards


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
