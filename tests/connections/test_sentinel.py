"""Sentinels name the primary, and a worker follows a failover without a restart."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from berrante.embedded import EmbeddedValkey
from berrante.embedded.valkey import _program
from berrante.engine import Connection, Job, Queue
from berrante.engine.notices import JobCompleted
from berrante.settings import load
from tests.conftest import OwnServer
from tests.probes import Probe, working
from tests.waiting import until

_SERVICE = "berrante"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port(server: OwnServer) -> int:
    return int(urlsplit(server.url).port or 0)


@pytest_asyncio.fixture
async def replica(own_valkey: OwnServer, server_folder: Path) -> AsyncIterator[OwnServer]:
    """A server that follows ``own_valkey``."""
    own = OwnServer(EmbeddedValkey(server_folder / "replica"))
    await own.start()
    async with Connection.from_url(own.url) as connection:
        await connection.redis.replicaof("127.0.0.1", _port(own_valkey))

        async def follows() -> bool:
            return (await connection.redis.info("replication"))["master_link_status"] == "up"

        await until(follows)
    yield own
    await own.end()


@pytest_asyncio.fixture
async def sentinel(own_valkey: OwnServer, replica: OwnServer, server_folder: Path) -> AsyncIterator[int]:
    """The port of a Sentinel that watches both, and gives up on a primary within a second."""
    port, config = _free_port(), server_folder / "sentinel.conf"
    config.write_text(
        f"port {port}\nbind 127.0.0.1\ndir {server_folder}\n"
        f"sentinel monitor {_SERVICE} 127.0.0.1 {_port(own_valkey)} 1\n"
        f"sentinel down-after-milliseconds {_SERVICE} 1000\nsentinel failover-timeout {_SERVICE} 3000\n"
    )
    process = await asyncio.create_subprocess_exec(
        str(_program()), str(config), "--sentinel", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    client = Redis(port=port)

    async def knows_both() -> bool:
        try:
            return (await client.info("sentinel"))["master0"]["slaves"] == 1
        except (OSError, KeyError):
            return False

    try:
        await until(knows_both, timeout_s=40)
        yield port
    finally:
        await client.aclose()
        process.terminate()
        await process.wait()


async def test_a_worker_follows_the_primary_that_sentinels_name(
    own_valkey: OwnServer, sentinel: int, replica: OwnServer, prefix: str
) -> None:
    async def handle(job: Job) -> object:
        return job.data

    async with Connection.from_url(f"redis+sentinel://127.0.0.1:{sentinel}/{_SERVICE}/0") as connection:
        queue, probe = Queue("q", connection, prefix=prefix), Probe()
        async with working("q", handle, connection, prefix=prefix, probe=probe):
            await queue.add("before", {})
            await probe.seen(JobCompleted)
            assert connection.redis.connection_pool is not None
            await own_valkey.kill()

            async def is_added() -> bool:
                try:
                    await queue.add("after", {}, queue.with_id("after"))
                except Exception:  # noqa: BLE001  until the Sentinel has chosen, nobody takes it
                    return False
                return True

            await until(is_added, timeout_s=40)
            await until(lambda: [each for each in probe.of(JobCompleted) if each.job.id == "after"], timeout_s=40)
    async with Connection.from_url(replica.url) as promoted:
        assert (await promoted.redis.info("replication"))["role"] == "master"


@pytest.mark.parametrize("url", ["redis+sentinel://host:1", "redis+sentinel:///service/0"])
def test_an_address_without_a_service_or_a_host_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="has to name its service"):
        Connection.from_url(url)


def test_settings_take_the_address() -> None:
    url = load(redis_url="redis+sentinel://:hush@a,b/main/0").redis_url
    assert url is not None
    assert "hush" not in repr(url)
