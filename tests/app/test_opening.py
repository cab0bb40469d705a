"""What keeps a process from starting is said in words, with the remedy."""

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from berrante.app import Application, EngineUnreachable, NotMigrated, PortTaken, open_engines
from berrante.app.running import find_running
from berrante.app.serving import address_of, listen
from berrante.embedded import DataDir, DataDirInUse, EmbeddedPostgres, EmbeddedValkey
from berrante.settings import load
from tests.app.process import settings_for, working
from tests.conftest import OwnServer
from tests.waiting import until


async def test_a_redis_that_does_not_answer_is_named_without_its_password(database_url: str) -> None:
    settings = settings_for(redis_url="redis://:hush@127.0.0.1:1/0", database_url=database_url, prefix="x")
    with pytest.raises(EngineUnreachable, match="REDIS_URL") as caught:
        async with Application.open(settings):
            pass
    assert "hush" not in str(caught.value)


async def test_a_database_that_does_not_answer_is_named_without_its_password(redis_url: str) -> None:
    settings = settings_for(redis_url=redis_url, database_url="postgresql://me:hush@127.0.0.1:1/x", prefix="x")
    with pytest.raises(EngineUnreachable, match="DATABASE_URL") as caught:
        async with Application.open(settings):
            pass
    assert "hush" not in str(caught.value)


async def test_an_old_database_asks_for_migrate_and_gets_it(own_postgres: OwnServer, redis_url: str) -> None:
    settings = settings_for(redis_url=redis_url, database_url=own_postgres.url, prefix="x")
    with pytest.raises(NotMigrated, match="berrante migrate"):
        async with Application.open(settings):
            pass
    async with Application.open(settings, migrating=True) as application:
        assert await application.organizations.list() == []


async def test_a_taken_port_is_named_with_the_remedy() -> None:
    first = listen("127.0.0.1", 0)
    first.listen()
    port = int(address_of(first).rpartition(":")[2])
    with pytest.raises(PortTaken, match=rf"port {port} .* --port"):
        listen("127.0.0.1", port)
    with pytest.raises(PortTaken, match="--health-port"):
        listen("127.0.0.1", port, option="--health-port")
    first.close()


async def test_engines_of_another_process_are_used_and_left_running(server_folder: Path) -> None:
    settings = load(data_dir=server_folder)
    # The kernel's lock knows no processes: whoever has opened the file first keeps all others out, us too.
    with DataDir(server_folder):
        async with (
            EmbeddedValkey(server_folder / "valkey") as valkey,
            EmbeddedPostgres(server_folder / "postgres") as postgres,
        ):
            async with open_engines(settings) as engines:
                assert (engines.redis_from, engines.database_from) == ("adopted", "adopted")
                assert (engines.redis_url, engines.database_url) == (valkey.url, postgres.url)
            with pytest.raises(DataDirInUse, match=f"process {os.getpid()}"):
                async with open_engines(settings, alone=True):
                    pass
            found = await find_running(server_folder)
            assert (found.redis_url, found.database_url) == (valkey.url, postgres.url)
    found = await find_running(server_folder)
    assert (found.redis_url, found.database_url) == (None, None)


async def test_a_process_that_still_starts_its_engines_is_waited_for(server_folder: Path) -> None:
    with DataDir(server_folder):
        opening = asyncio.create_task(_redis_of(server_folder))
        async with EmbeddedValkey(server_folder / "valkey") as valkey:
            assert await opening == valkey.url


async def _redis_of(folder: Path) -> str:
    settings = load(data_dir=folder, database_url="postgresql://elsewhere/x")
    async with open_engines(settings) as engines:
        return engines.redis_url


async def test_a_stop_hands_back_what_does_not_end_in_time(application: Application) -> None:
    application.settings = application.settings.model_copy(update={"stop_deadline_ms": 100})
    begun = asyncio.Event()

    async def hang(*_: object) -> None:
        begun.set()
        await asyncio.Event().wait()

    organization = await application.organizations.create("Slow")
    await application.instances.create(organization_id=organization.id, id="slow")
    application.simulator.send = hang  # type: ignore[method-assign]
    async with working(application):
        await application.outbound.send(
            organization_id=organization.id, instance_id="slow", to="+5511987654321", text="hello"
        )
        await asyncio.wait_for(begun.wait(), 10)
    counts = await application.queues.outbound.counts()
    assert sum(counts.values()) == 1
    assert counts["active"] == counts["failed"] == 0


@pytest.mark.parametrize("engine", ["valkey", "postgres"])
async def test_an_embedded_engine_that_dies_is_started_again_on_its_data(server_folder: Path, engine: str) -> None:
    async with Application.open(load(data_dir=server_folder), alone=True, migrating=True) as application:
        made = await application.organizations.create("Kept")
        await application.queues.message.add("incoming", {})
        victim = await asyncio.to_thread(_server_in, server_folder / engine)
        victim.kill()

        async def both_answer() -> bool:
            try:
                await application.connection.ping()
                await application.database.ping()
            except Exception:  # noqa: BLE001  whatever it says while it is away
                return False
            return not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE

        await until(both_answer, timeout_s=30)
        assert [each.id for each in await application.organizations.list()] == [made.id]


def _server_in(folder: Path) -> psutil.Process:
    programs = {"valkey": "valkey-server", "postgres": "postgres"}
    for process in psutil.process_iter(["name", "cwd", "ppid"]):
        cwd = process.info["cwd"] or ""
        is_ours = cwd == str(folder) or cwd.startswith(f"{folder}/")
        if process.info["name"] == programs[folder.name] and is_ours:
            parent = psutil.Process(process.info["ppid"])
            return parent if parent.name() == process.info["name"] else process
    raise AssertionError(f"no server runs in {folder}")
