"""The way to Redis: TLS with certificates that are checked, users and passwords."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import pytest_asyncio
from redis.exceptions import AuthenticationError, NoPermissionError
from redis.exceptions import ConnectionError as RedisConnectionError

from berrante.app import Application, EngineUnfit, EngineUnreachable
from berrante.engine import Connection, Job, NewJob, Queue, QueueEvents
from berrante.engine.notices import JobCompleted
from tests.app.process import client_of, settings_for
from tests.app.process import working as all_working
from tests.conftest import OwnServer
from tests.connections.tls import Certificates, certificates, tls_before
from tests.probes import Probe, working
from tests.waiting import until


@pytest.fixture
def made(tmp_path: Path) -> Certificates:
    return certificates(tmp_path / "tls")


@pytest_asyncio.fixture
async def tls_port(redis_url: str, made: Certificates) -> AsyncIterator[int]:
    """A listener with TLS in front of the session's Valkey."""
    at = urlsplit(redis_url)
    async with tls_before(lambda: asyncio.open_connection(at.hostname, at.port), made.server_context()) as port:
        yield port


def _url(port: int, made: Certificates | None = None, *, host: str = "127.0.0.1") -> str:
    return f"rediss://{host}:{port}/0" + (f"?ssl_ca_certs={quote(str(made.authority))}" if made else "")


async def test_jobs_run_over_tls_by_every_kind_of_connection(tls_port: int, made: Certificates, prefix: str) -> None:
    async def handle(job: Job) -> object:
        await job.update_progress(50)
        return job.data["n"]

    async with Connection.from_url(_url(tls_port, made)) as connection:
        queue, probe = Queue("q", connection, prefix=prefix), Probe()
        async with working("q", handle, connection, prefix=prefix, probe=probe):
            await queue.add_bulk([NewJob("a", {"n": number}) for number in range(50)])
            await probe.seen(JobCompleted, 50)
        async for event in QueueEvents("q", connection, prefix=prefix).listen("0"):
            if event.name == "progress":
                break


async def test_an_authority_that_is_not_trusted_is_refused(tls_port: int) -> None:
    async with Connection.from_url(_url(tls_port)) as connection:
        with pytest.raises(RedisConnectionError, match=r"CERTIFICATE_VERIFY_FAILED|certificate verify failed"):
            await connection.ping()


async def test_a_certificate_of_another_host_is_refused(redis_url: str, tmp_path: Path) -> None:
    made, at = certificates(tmp_path / "other", host="redis.example"), urlsplit(redis_url)
    async with (
        tls_before(lambda: asyncio.open_connection(at.hostname, at.port), made.server_context()) as port,
        Connection.from_url(_url(port, made)) as connection,
    ):
        with pytest.raises(RedisConnectionError, match=r"[Hh]ostname|IP address mismatch"):
            await connection.ping()


async def test_the_service_starts_over_tls_and_says_what_is_wrong_with_a_certificate(
    tls_port: int, made: Certificates, database_url: str, prefix: str
) -> None:
    async with Application.open(
        settings_for(redis_url=_url(tls_port, made), database_url=database_url, prefix=prefix)
    ) as application:
        await application.connection.ping()
    with pytest.raises(EngineUnreachable, match=r"REDIS_URL"):
        async with Application.open(settings_for(redis_url=_url(tls_port), database_url=database_url, prefix=prefix)):
            pass


async def test_a_user_works_within_its_rights(own_valkey: OwnServer, prefix: str) -> None:
    async with Connection.from_url(own_valkey.url) as connection:
        await connection.redis.acl_setuser(
            "app", enabled=True, passwords=["+pass:w@rd/x"], keys=[f"{prefix}:*"], categories=["+@all", "-@admin"]
        )
    password = quote("pass:w@rd/x", safe="")
    at = urlsplit(own_valkey.url)
    async with Connection.from_url(f"redis://app:{password}@{at.hostname}:{at.port}/0") as connection:
        probe = Probe()
        async with working("q", lambda _: _nothing(), connection, prefix=prefix, probe=probe):
            await Queue("q", connection, prefix=prefix).add("a", {})
            await probe.seen(JobCompleted)
        with pytest.raises(NoPermissionError):
            await Queue("q", connection, prefix="other").add("a", {})
    async with Connection.from_url(f"redis://app:wrong@{at.hostname}:{at.port}/0") as connection:
        with pytest.raises(AuthenticationError):
            await connection.ping()


async def _nothing() -> None:
    return None


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl"])
async def test_a_redis_that_throws_keys_away_is_refused_with_the_remedy(
    own_valkey: OwnServer, database_url: str, prefix: str, policy: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Connection.from_url(own_valkey.url) as connection:
        await connection.redis.config_set("maxmemory-policy", policy)
        with pytest.raises(EngineUnfit, match=rf"{policy}.*maxmemory-policy noeviction"):
            async with Application.open(settings):
                pass
        await connection.redis.config_set("maxmemory-policy", "noeviction")
    async with Application.open(settings):
        pass


async def test_a_replica_is_refused(own_valkey: OwnServer, redis_url: str, database_url: str, prefix: str) -> None:
    at = urlsplit(redis_url)
    async with Connection.from_url(own_valkey.url) as connection:
        await connection.redis.replicaof(at.hostname, at.port)
    with pytest.raises(EngineUnfit, match="address of the primary"):
        async with Application.open(settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)):
            pass


async def test_the_user_of_the_deployment_page_has_all_that_the_service_wants(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    page = (Path(__file__).parents[2] / "docs/deploy.md").read_text()
    (rule,) = re.findall(r"`ACL SETUSER berrante ([^`]+)`", page)
    async with Connection.from_url(own_valkey.url) as connection:
        words = rule.replace("bull:*", f"{prefix}:*").split()
        await connection.redis.execute_command("ACL", "SETUSER", "berrante", *words)
    url = own_valkey.url.replace("redis://", "redis://berrante:password@")
    settings = settings_for(redis_url=url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client, all_working(application):
        await application.queues.message.add("incoming", {})
        await until(application.queues.dead_letters.count)
        assert (await client.get("/health/redis")).json()["eviction_policy"] == "noeviction"
        assert (await client.get("/health/queues")).json()["queues"]["message"]["workers"] == 1
