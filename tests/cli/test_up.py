"""``berrante up --demo``: the first run, as it is seen from outside."""

import asyncio
import re
import signal
import sys
from pathlib import Path

import httpx
import psutil
import pytest

from tests.cli.command import Command, ran, running
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)


def _servers(folder: Path) -> list[str]:
    """The embedded engines at work below the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() in {"valkey-server", "postgres"} and Path(process.cwd()).is_relative_to(folder.resolve()):
                found.append(process.name())
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def _shown(command: Command, name: str) -> str | None:
    found = re.search(rf"{name}\s+(\S+)", command.output)
    return found[1] if found else None


async def _address(command: Command) -> str:
    def address() -> str | None:
        if command.process.returncode is not None:
            raise AssertionError(f"it ended: {command.errors}")
        return _shown(command, "address") if "web.listening" in command.errors else None

    return str(await until(address, timeout_s=90))


async def test_the_first_run_a_second_beside_it_and_the_end(server_folder: Path) -> None:
    arguments = ("up", "--demo", "--port", "0")
    async with running(*arguments, data_dir=server_folder, BERRANTE_DEMO_CHATTER_MS="300") as command:
        address = await _address(command)
        key = _shown(command, "API key")
        assert _shown(command, "password")
        async with httpx.AsyncClient(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
            assert (await client.get("/health")).json()["status"] == "ok"

            async def reply() -> bool:
                listed = (await client.get("/v1/messages", params={"limit": 200})).json()["data"]
                return any(each["direction"] == "out" and each["status"] == "delivered" for each in listed)

            await until(reply, timeout_s=30)

        second = await ran(*arguments, data_dir=server_folder)
        assert second.code == 2
        assert f"in use by process {command.process.pid}" in second.errors
        assert "--data-dir" in second.errors
        assert "Traceback" not in second.errors

        # Other commands use the engines of the one that runs, and leave them running.
        stats = await ran("queues", "stats", "--json", data_dir=server_folder)
        assert stats.code == 0
        assert '"message"' in stats.output
        played = await ran("queues", "test-message", data_dir=server_folder)
        assert played.code == 0, played.output + played.errors

        assert set(_servers(server_folder)) == {"valkey-server", "postgres"}
        command.process.send_signal(signal.SIGTERM)
        ended = await command.ended(within_s=10)
    assert ended.code == 0, ended.errors
    assert "service.stopped" in ended.errors
    assert _servers(server_folder) == []
    assert str(key) not in ended.errors


async def test_ctrl_c_ends_it_and_the_next_start_goes_on_where_it_was(server_folder: Path) -> None:
    environment = {"BERRANTE_DEMO_API_KEY": "brt_live_of_our_own_choosing", "BERRANTE_DEMO_CONTACTS": "0"}
    for start in (1, 2):
        async with running("up", "--demo", "--port", "0", data_dir=server_folder, **environment) as command:
            await _address(command)
            assert ("made now" in command.output) is (start == 1)
            command.process.send_signal(signal.SIGINT)
            ended = await command.ended(within_s=10)
        assert ended.code == 0, ended.errors
    assert _servers(server_folder) == []
    assert "shown at the first start" in ended.output


async def test_web_and_worker_run_apart_on_configured_engines(
    redis_url: str, database_url: str, prefix: str, server_folder: Path
) -> None:
    environment = {"REDIS_URL": redis_url, "DATABASE_URL": database_url, "BERRANTE_QUEUE_PREFIX": prefix}
    async with (
        running("web", "--port", "0", data_dir=server_folder, **environment) as web,
        running("worker", "message", "outbound", data_dir=server_folder, **environment) as worker,
    ):
        await until(lambda: "web.listening" in web.errors, timeout_s=60)
        await until(lambda: "service.started" in worker.errors, timeout_s=60)
        for command in (web, worker):
            command.process.send_signal(signal.SIGTERM)
            assert (await command.ended(within_s=10)).code == 0
    assert "queues=message,outbound" in worker.errors
    assert _servers(server_folder) == []


async def test_a_second_ctrl_c_ends_at_once() -> None:
    program = """
import asyncio
from berrante.app.stopping import stop_on_signals
from berrante.telemetry import configure

configure()

async def stubborn():
    with stop_on_signals(deadline_ms=6_000) as stop:
        print("ready", flush=True)
        await stop.wait()
        print("stopping", flush=True)
        await asyncio.Event().wait()

asyncio.run(stubborn())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    assert process.stdout is not None
    for line in (b"ready\n", b"stopping\n"):
        assert await asyncio.wait_for(process.stdout.readline(), 30) == line
        process.send_signal(signal.SIGINT)
    assert await asyncio.wait_for(process.wait(), 10) == 130
