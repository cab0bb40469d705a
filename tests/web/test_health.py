"""/health tells the truth, within its time, whatever state the engines are in."""

import time

from berrante.app import Application
from berrante.engine import NewJob
from tests.app.process import client_of, settings_for
from tests.conftest import OwnServer
from tests.waiting import until


async def test_all_is_well(application: Application) -> None:
    async with client_of(application) as client:
        whole = await client.get("/health")
        parts = [await client.get(f"/health/{part}") for part in ("redis", "database", "queues")]
    assert whole.status_code == 200
    assert whole.json()["status"] == "ok"
    assert [part.status_code for part in parts] == [200, 200, 200]
    assert whole.headers["Cache-Control"] == "no-store"


async def test_queues_are_counted_by_state(application: Application) -> None:
    await application.queues.campaign.add_bulk([NewJob("tick", {})] * 3)
    await application.queues.outbound.pause()
    async with client_of(application) as client:
        queues = (await client.get("/health/queues")).json()["queues"]
    assert set(queues) == {"message", "automation", "campaign", "outbound", "webhook", "dead-letter", "maintenance"}
    assert queues["campaign"] == {
        "waiting": 3, "active": 0, "prioritized": 0, "delayed": 0, "completed": 0, "failed": 0, "paused": False,
    }  # fmt: skip
    assert queues["outbound"]["paused"] is True


async def test_a_redis_that_is_gone_is_503_with_a_reason_and_its_return_is_seen(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        await own_valkey.kill()
        for path in ("/health/redis", "/health/queues", "/health"):
            answer = await client.get(path)
            assert answer.status_code == 503
        assert (await client.get("/health/database")).status_code == 200
        assert (await client.get("/health/redis")).json()["reason"]
        assert answer.json()["database"]["status"] == "ok"
        await own_valkey.start()

        async def is_back() -> bool:
            return (await client.get("/health")).status_code == 200

        await until(is_back)


async def test_a_redis_that_hangs_is_503_within_the_time(own_valkey: OwnServer, database_url: str, prefix: str) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix, health_timeout_ms=200)
    async with Application.open(settings) as application, client_of(application) as client:
        own_valkey.pause()
        before = time.monotonic()
        answers = [await client.get("/health/redis") for _ in range(3)]
        took = time.monotonic() - before
        own_valkey.cont()
        assert [answer.status_code for answer in answers] == [503] * 3
        assert answers[0].json() == {"status": "down", "reason": "no answer within 200 ms"}
        assert took < 3

        async def is_back() -> bool:
            return (await client.get("/health/redis")).status_code == 200

        await until(is_back)


async def test_a_database_that_is_gone_is_503_and_names_no_password(
    own_postgres: OwnServer, redis_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=redis_url, database_url=own_postgres.url, prefix=prefix)
    async with Application.open(settings, migrating=True) as application, client_of(application) as client:
        assert (await client.get("/health/database")).status_code == 200
        await own_postgres.stop()
        answer = await client.get("/health/database")
        assert answer.status_code == 503
        assert answer.json()["status"] == "down"
        assert (await client.get("/health/redis")).status_code == 200


async def test_unknown_paths_and_methods_answer_in_the_one_form(application: Application) -> None:
    async with client_of(application) as client:
        missing = await client.get("/no-such-thing")
        wrong = await client.delete("/health")
    assert missing.status_code == 404
    assert missing.json()["error"]["code"] == "not_found"
    assert wrong.status_code == 405
    assert wrong.json()["error"]["code"] == "method_not_allowed"
