# ruff: noqa: ASYNC240  a test may look at a file at once

"""What remains when the process that started the engines is killed."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from berrante.embedded import DataDir, DataDirInUse, EmbeddedPostgres, EmbeddedValkey


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A living process that holds ``folder`` and started both engines."""

    folder: Path
    process: asyncio.subprocess.Process
    pids: dict[str, int]

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()


@pytest_asyncio.fixture
async def holder(server_folder: Path) -> AsyncIterator[Holder]:
    folder = server_folder / "data"
    program = Path(__file__).with_name("holder.py")
    process = await asyncio.create_subprocess_exec(sys.executable, program, folder, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    pids = json.loads(await process.stdout.readline())
    holder = Holder(folder=folder, process=process, pids=pids)
    yield holder
    if process.returncode is None:
        await holder.kill()
    for server in (EmbeddedValkey(folder / "valkey"), EmbeddedPostgres(folder / "postgres")):
        await server.start()
        await server.stop()


async def test_after_kill_9_the_next_start_adopts_the_same_servers_with_their_data(holder: Holder) -> None:
    await holder.kill()

    with DataDir(holder.folder) as data_dir:
        async with EmbeddedValkey(data_dir / "valkey") as valkey, EmbeddedPostgres(data_dir / "postgres") as postgres:
            assert (valkey.pid, postgres.pid) == (holder.pids["valkey"], holder.pids["postgres"])
            async with Redis.from_url(valkey.url, decode_responses=True) as redis:
                assert await redis.get("kept") == "yes"
            connection = await asyncpg.connect(postgres.url.replace("+asyncpg", ""))
            assert await connection.fetchval("SELECT answer FROM kept") == "yes"
            await connection.close()


async def test_a_folder_in_use_is_refused_with_its_holder_and_a_remedy(holder: Holder) -> None:
    with pytest.raises(DataDirInUse) as refused, DataDir(holder.folder):
        pass

    assert refused.value.pid == holder.process.pid
    assert str(holder.folder) in str(refused.value)
    assert f"process {holder.process.pid}" in str(refused.value)
    assert "--data-dir" in str(refused.value)


async def test_the_servers_hold_neither_the_lock_nor_the_holders_session(holder: Holder) -> None:
    for engine in ("valkey", "postgres"):
        pid = holder.pids[engine]
        opened = {str(descriptor.readlink()) for descriptor in Path(f"/proc/{pid}/fd").iterdir()}
        assert str(holder.folder / "lock") not in opened
        assert os.getsid(pid) == pid
