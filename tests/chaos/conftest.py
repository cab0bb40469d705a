import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from berrante.engine import Connection, Queue
from tests.chaos.worker_process import Orders

Start = Callable[[Orders], Awaitable[asyncio.subprocess.Process]]
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Start worker processes; what still runs at the end of the test is killed."""
    processes: list[asyncio.subprocess.Process] = []

    async def start(orders: Orders) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.chaos.worker_process", json.dumps(asdict(orders)), cwd=ROOT
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.returncode is None:
            process.kill()
        await process.wait()


@pytest.fixture
def queue(connection: Connection, prefix: str) -> Queue:
    return Queue("q", connection, prefix=prefix)


@pytest.fixture
def orders(redis_url: str, prefix: str) -> Orders:
    return Orders(url=redis_url, prefix=prefix, effects=f"{prefix}-effects")
