"""Workers of a campaign are killed at random points: nobody sees it twice, nobody is skipped, the account is clean."""

import asyncio
import json
import os
import random
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest

from berrante.messaging.campaigns import CampaignAccount
from tests.campaigns.screen_worker import Orders
from tests.messaging.platform import Platform
from tests.waiting import until

ROOT = Path(__file__).parents[2]
RECIPIENTS = int(os.environ.get("BERRANTE_KILL_RECIPIENTS", "500"))
#: Sends between two kills, at most.
STRETCH = 60


class Pool:
    """Worker processes; a killed one is replaced."""

    def __init__(self, orders: Orders) -> None:
        self._orders = json.dumps(asdict(orders))
        self.processes: list[asyncio.subprocess.Process] = []

    async def start(self) -> None:
        command = (sys.executable, "-m", "tests.campaigns.screen_worker", self._orders)
        self.processes.append(await asyncio.create_subprocess_exec(*command, cwd=ROOT))

    async def kill(self, luck: random.Random) -> None:
        victim = self.processes.pop(luck.randrange(len(self.processes)))
        victim.kill()
        await victim.wait()

    async def end(self) -> None:
        for process in self.processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


@pytest.fixture
async def pool(redis_url: str, database_url: str, prefix: str) -> AsyncIterator[Pool]:
    pool = Pool(Orders(redis_url=redis_url, database_url=database_url, prefix=prefix))
    yield pool
    await pool.end()


@pytest.mark.timeout(600)
async def test_kills_at_random_points_double_and_skip_nobody(
    unhurried_platform: Platform, pool: Pool, prefix: str
) -> None:
    platform = unhurried_platform
    organization_id = platform.organization.id
    numbers = [f"+55119{number:08}" for number in range(RECIPIENTS)]
    campaign = await platform.campaigns.create(
        organization_id=organization_id,
        instance_id="sales",
        name="Crash",
        body="{Oi|Olá}!",
        recipients=numbers,
        pace={"window": 40, "pause_at_failures": None},
    )
    await platform.campaigns.start(organization_id, campaign.id)
    redis, luck, kills = platform.queues.connection.redis, random.Random(11), 0
    for _ in range(2):
        await pool.start()

    async def seen() -> int:
        return int(await redis.scard(f"{prefix}-screen"))

    async def is_finished() -> bool:
        current = await platform.campaigns.get(organization_id, campaign.id)
        return current is not None and current.status == "finished"

    while await seen() < RECIPIENTS:
        least = min(RECIPIENTS, await seen() + luck.randrange(1, STRETCH))

        async def enough(least: int = least) -> bool:
            return await seen() >= least

        await until(enough, timeout_s=120)
        await pool.kill(luck)
        kills += 1
        await pool.start()
    await until(is_finished, timeout_s=120)

    screens = Counter(entry.decode().split()[0] for entry in await redis.smembers(f"{prefix}-screen"))
    assert {address: count for address, count in screens.items() if count > 1} == {}, f"twice, after {kills} kills"
    assert sorted(screens) == numbers
    ledger = await CampaignAccount(platform.database, platform.queues).ledger(organization_id, campaign.id)
    assert (ledger.planned, ledger.sent, ledger.mismatches) == (RECIPIENTS, RECIPIENTS, ())
    assert ledger.is_clean
    assert kills >= RECIPIENTS // STRETCH
