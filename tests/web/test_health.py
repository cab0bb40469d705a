"""/health tells the truth, within its time, whatever state the engines are in."""

import time

from berrante import __version__
from berrante.app import Application
from berrante.engine import Connection, JobOptions, NewJob, State
from berrante.engine.queue_state import queue_states
from tests.app.process import client_of, settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until

PARTS = ("redis", "database", "queues", "gateways", "media", "live", "ready")


async def test_all_is_well(application: Application) -> None:
    async with client_of(application) as client:
        whole = await client.get("/health")
        parts = [await client.get(f"/health/{part}") for part in PARTS]
    assert whole.status_code == 200
    assert whole.json()["status"] == "ok"
    assert [part.status_code for part in parts] == [200] * len(PARTS)
    assert whole.headers["Cache-Control"] == "no-store"


async def test_queues_are_counted_by_state(application: Application) -> None:
    await application.queues.campaign.add_bulk([NewJob("tick", {})] * 3)
    await application.queues.outbound.pause()
    async with client_of(application) as client:
        queues = (await client.get("/health/queues")).json()["queues"]
    counts = {"waiting": 3, "active": 0, "prioritized": 0, "delayed": 0, "completed": 0, "failed": 0, "paused": False}
    assert counts.items() <= queues["campaign"].items()
    assert set(queues) == {"message", "automation", "campaign", "outbound", "webhook", "dead-letter", "maintenance"}
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


async def test_an_engine_that_is_away_makes_a_process_unready_and_not_dead(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        assert (await client.get("/health/ready")).json() == {
            "status": "ok", "redis": {"status": "ok"}, "database": {"status": "ok"},
        }  # fmt: skip
        await own_valkey.kill()
        unready = await client.get("/health/ready")
        assert (unready.status_code, unready.json()["redis"]) == (503, {"status": "down"})
        live = await client.get("/health/live")
        assert (live.status_code, live.json()["version"]) == (200, __version__)
        assert isinstance(live.json()["uptime_s"], float)


async def test_redis_tells_of_itself_and_warns_with_the_remedy(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    settings = settings_for(redis_url=own_valkey.url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        well = (await client.get("/health/redis")).json()
        assert (well["server"], well["eviction_policy"], well["warnings"]) == ("Valkey", "noeviction", [])
        assert well["memory"]["used_bytes"] > 0
        assert well["persistence"]["append_only_file"] is True
        await application.connection.redis.config_set("maxmemory-policy", "allkeys-lru")
        await application.connection.redis.config_set("appendonly", "no")
        found = (await client.get("/health/redis")).json()["warnings"]
        assert [each["code"] for each in found] == ["eviction_policy", "append_file"]
        assert "noeviction" in found[0]["remedy"]


async def test_a_user_that_may_not_ask_redis_about_itself_is_told_so(
    own_valkey: OwnServer, database_url: str, prefix: str
) -> None:
    async with Connection.from_url(own_valkey.url) as connection:
        await connection.redis.execute_command(
            "ACL", "SETUSER", "app", "on", ">s3cret-word", f"~{prefix}:*", "+@all", "-@admin", "-@dangerous"
        )
    url = own_valkey.url.replace("redis://", "redis://app:s3cret-word@")
    settings = settings_for(redis_url=url, database_url=database_url, prefix=prefix)
    async with Application.open(settings) as application, client_of(application) as client:
        answer = await client.get("/health/redis")
        assert answer.status_code == 200
        assert "not shown" in answer.json()["details"]
        queues = (await client.get("/health/queues")).json()["queues"]
        assert queues["message"]["workers"] is None
        async with working(application):
            await application.queues.maintenance.add("reconcile", {})

            async def is_done() -> bool:
                return (await application.queues.maintenance.counts())[State.COMPLETED] > 0

            await until(is_done)


async def test_queues_tell_waits_workers_throughput_and_what_stalled(application: Application) -> None:
    queues, redis = application.queues, application.connection.redis
    old = await queues.outbound.add("send", {}, JobOptions(priority=5))
    await queues.outbound.add("send", {}, JobOptions(priority=1))
    await redis.hset(queues.outbound.keys.job(old.id), "timestamp", application.connection.now_ms() - 90_000)
    await queues.campaign.add("tick", {}, JobOptions(delay_ms=60_000))
    grouped = await queues.message.add("incoming", {}, JobOptions(group="sales"))
    await redis.hset(queues.message.keys.job(grouped.id), "timestamp", application.connection.now_ms() - 70_000)
    abandoned = await queues.automation.add("step", {})
    await redis.rpoplpush(queues.automation.keys.wait, queues.automation.keys.active)
    await redis.hset(queues.automation.keys.job(abandoned.id), "processedOn", 1)
    async with client_of(application) as client:
        found = (await client.get("/health/queues")).json()["queues"]
        assert 90 <= found["outbound"]["oldest_waiting_s"] < 120
        assert 70 <= found["message"]["oldest_waiting_s"] < 90
        assert found["campaign"]["oldest_waiting_s"] is None
        assert (found["automation"]["stalled"], found["outbound"]["stalled"]) == (1, 0)
        assert found["message"]["workers"] == 0
        async with working(application):

            async def is_worked_on() -> bool:
                found = (await client.get("/health/queues")).json()["queues"]
                return [found[name]["workers"] for name in ("message", "dead-letter")] == [1, 0]

            await until(is_worked_on)
    await redis.hset(
        queues.message.keys.metrics("completed"), mapping={"prevTS": application.connection.now_ms() - 61_000}
    )
    await redis.rpush(f"{queues.message.keys.metrics('completed')}:data", 30, 20, 10, 5, 99, 99)
    (state,) = await queue_states([queues.message])
    assert state.completed_per_minute == (30 + 20 + 10 + 5) / 5  # a minute has gone by without any


async def test_gateways_tell_their_numbers_and_whether_this_process_has_them(application: Application) -> None:
    organization = await application.organizations.create("One")
    for number, gateway in enumerate(("simulator", "simulator", "cloud")):
        await application.instances.create(
            organization_id=organization.id,
            id=f"n{number}",
            gateway=gateway,
            phone_number_id="1",
            app_secret="a" * 32,
            verify_token="b" * 32,
        )
    async with client_of(application) as client:
        found = (await client.get("/health/gateways")).json()["gateways"]
        assert found["simulator"]["instances"] == 2
        assert found["simulator"]["set_up"] is True
        assert found["simulator"]["sends"] == {"accepted": 0, "refused": 0, "in_doubt": 0, "error": 0}
        assert found["cloud"]["instances"] == 1

        async def health() -> dict[str, str]:
            raise ConnectionError("the sidecar does not answer")

        application.simulator.health = health  # type: ignore[attr-defined]
        broken = await client.get("/health/gateways")
    assert (broken.status_code, broken.json()["reason"]) == (503, "the sidecar does not answer")
