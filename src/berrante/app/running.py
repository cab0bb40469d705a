"""Finds embedded engines that another process of ours runs, without touching them."""

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from berrante.embedded.postmaster_file import PostmasterFile
from berrante.embedded.server_process import ServerProcess

_POLL_S: Final = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunningEngines:
    """The addresses of what runs on a data folder; None for what does not."""

    redis_url: str | None
    database_url: str | None


async def find_running(data_dir: Path) -> RunningEngines:
    """Look once."""
    return await asyncio.to_thread(_look, data_dir)


async def wait_for_running(data_dir: Path, *, redis: bool, database: bool, within_s: float = 30.0) -> RunningEngines:
    """Look until the engines that are asked for run (the process that holds the folder may still be starting them).

    Returns what was found by then, even if it is not all.
    """
    deadline = time.monotonic() + within_s
    while True:
        found = await find_running(data_dir)
        is_whole = (found.redis_url or not redis) and (found.database_url or not database)
        if is_whole or time.monotonic() > deadline:
            return found
        await asyncio.sleep(_POLL_S)


def _look(data_dir: Path) -> RunningEngines:
    data_dir = data_dir.expanduser().resolve()
    return RunningEngines(redis_url=_valkey(data_dir / "valkey"), database_url=_postgres(data_dir / "postgres"))


def _valkey(folder: Path) -> str | None:
    if not ServerProcess.find(folder, program="valkey-server"):
        return None
    # The configuration is written before a server starts and never while one runs.
    for line in (folder / "valkey.conf").read_text().splitlines():
        if line.startswith("port "):
            return f"redis://127.0.0.1:{int(line.removeprefix('port '))}/0"
    return None


def _postgres(folder: Path) -> str | None:
    cluster = folder / "cluster"
    written = PostmasterFile.read(cluster)
    if written is None or not written.ready:
        return None
    if written.pid not in {server.pid for server in ServerProcess.find(cluster, program="postgres")}:
        return None
    return f"postgresql+asyncpg://berrante@/berrante?host={quote(str(written.socket_folder), safe='/')}&port=5432"
