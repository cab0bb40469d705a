"""A cluster over TLS, and one whose shard dies: its replica takes over, and workers go on by themselves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from berrante.engine import Connection, Job, NewJob, Queue, QueueEvents, State, WorkerOptions
from berrante.engine.connection import is_unavailable
from berrante.engine.notices import JobCompleted
from tests.connections.shards import Node, Shards, running
from tests.connections.tls import certificates
from tests.probes import Probe, working
from tests.waiting import until

#: A dead server is given up after this long; the vote about its successor takes as long again.
NODE_TIMEOUT_MS = 2_000
CELL, PREFIX = "eu", "{eu}"


@pytest_asyncio.fixture
async def encrypted(server_folder: Path, tmp_path: Path) -> AsyncIterator[Shards]:
    async with running(server_folder, made=certificates(tmp_path / "tls")) as shards:
        yield shards


async def test_jobs_run_over_tls_by_every_kind_of_connection(encrypted: Shards) -> None:
    async def handle(job: Job) -> object:
        await job.update_progress(50)
        return job.data["n"]

    assert encrypted.url(CELL).startswith("rediss+cluster://")
    async with Connection.from_url(encrypted.url(CELL)) as connection:
        queue, probe = Queue("q", connection, prefix=PREFIX), Probe()
        async with working("q", handle, connection, prefix=PREFIX, probe=probe):
            await queue.add_bulk([NewJob("a", {"n": number}) for number in range(50)])
            await probe.seen(JobCompleted, 50)
        async for event in QueueEvents("q", connection, prefix=PREFIX).listen("0"):
            if event.name == "progress":
                break
    sizes = [await client.dbsize() for client in encrypted.clients]
    assert [number for number, size in enumerate(sizes) if size] == [await encrypted.owner(CELL)]


async def test_an_authority_that_is_not_trusted_is_refused(encrypted: Shards) -> None:
    untrusting = encrypted.url(CELL).partition("?")[0]
    async with Connection.from_url(untrusting) as connection:
        with pytest.raises(RedisConnectionError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            await connection.ping()
    # And without TLS nobody answers at all: the listeners speak nothing else.
    async with Connection.from_url(untrusting.replace("rediss", "redis"), socket_timeout_s=2) as connection:
        with pytest.raises((RedisError, OSError)):
            await connection.ping()


class Flow:
    """Jobs that are added all the time, and a worker that does them, before, during and after a failover."""

    def __init__(self, connection: Connection, replica: Node) -> None:
        self.queue = Queue("q", connection, prefix=PREFIX)
        self.replica = replica
        self.is_over = False
        self.safe: list[str] = []
        self.runs: Counter[str] = Counter()

    async def handle(self, job: Job) -> object:
        self.runs[job.id] += 1
        return job.data

    async def add(self) -> None:
        """Add jobs one after the other; of each, see that the replica has it: no more can a producer ask for."""
        reader = Redis(port=self.replica.port, single_connection_client=True)  # READONLY is a connection's
        await reader.execute_command("READONLY")
        try:
            await self._add(reader)
        finally:
            await reader.aclose()

    async def _add(self, reader: Redis) -> None:
        number = 0
        while not self.is_over:
            job_id = f"job-{number}"

            async def is_added(job_id: str = job_id) -> bool:
                try:
                    await self.queue.add("a", {}, self.queue.with_id(job_id))
                except Exception as error:
                    if not is_unavailable(error):
                        raise
                    return self.is_over
                return True

            await until(is_added, timeout_s=30)  # what a producer does: it comes again with the same id
            number += 1
            if await reader.exists(self.queue.keys.job(job_id)):
                self.safe.append(job_id)

    async def more(self, number: int) -> None:
        """Wait until so many more jobs were added and done."""
        wanted = len(self.safe) + number
        await until(lambda: len(self.safe) >= wanted and len(self.runs) >= wanted, timeout_s=30)


async def ask_to_take_over(replica: Node) -> None:
    """Ask a replica, as an operator does: the primary stops writes until the replica has all, then steps down.

    Valkey gives such a failover up after 5 s; on a machine that was busy in that moment it is asked again.
    """
    for _ in range(5):
        await replica.client.execute_command("CLUSTER FAILOVER")

        async def is_primary() -> bool:
            return bytes((await replica.client.execute_command("ROLE"))[0]) == b"master"

        with suppress(TimeoutError):
            await until(is_primary, timeout_s=6)
            return
    raise AssertionError(await replica.client.execute_command("CLUSTER NODES"))


@pytest.mark.parametrize("how", ["killed", "asked"])
async def test_a_replica_takes_over_and_nothing_that_it_had_is_lost(server_folder: Path, how: str) -> None:
    async with running(server_folder, timeout_ms=NODE_TIMEOUT_MS) as shards:
        primary = shards.nodes[await shards.owner(CELL)]
        other = next(node for node in shards.nodes if node is not primary)
        replica = await shards.add_replica(primary)
        async with Connection.from_url(shards.url(CELL), socket_timeout_s=3) as connection:
            flow = Flow(connection, replica)
            options = WorkerOptions(concurrency=4, lock_ms=2_000, stalled_interval_ms=500)
            async with working("q", flow.handle, connection, options, prefix=PREFIX):
                async with asyncio.TaskGroup() as group:
                    group.create_task(flow.add())
                    await flow.more(50)
                    await (primary.kill() if how == "killed" else ask_to_take_over(replica))

                    async def has_taken_over() -> bool:
                        return await shards.server_of(CELL, asked=other) == replica.shown

                    await until(has_taken_over, timeout_s=30)
                    await flow.more(50)
                    flow.is_over = True

                async def all_is_done() -> bool:
                    counts = await flow.queue.counts()
                    return not any(counts[state] for state in (State.WAITING, State.ACTIVE, State.DELAYED))

                await until(all_is_done, timeout_s=30)
                assert (await flow.queue.counts())[State.FAILED] == 0
        assert set(flow.safe) <= set(flow.runs)
        if how == "asked":  # nothing was lost on the way, so nothing was done again but what ran in that moment
            assert sum(flow.runs.values()) - len(flow.runs) <= options.concurrency
