"""Workers and both servers are killed at every step: nobody sees a message twice and nobody is skipped.

The oracle is the simulator's ledger, which lives in the test's process and so survives them all. Each step is killed
once; with ``BERRANTE_CRASH_RECIPIENTS=5000 BERRANTE_CRASH_KILLS=200`` it goes on for many minutes.
"""

import itertools
import multiprocessing
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from sqlalchemy import func, select

from berrante.engine import Connection, State
from berrante.gateways.simulator import Habits, Latency, Simulator
from berrante.messaging.campaigns import CampaignAccount, Campaigns
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.retrying import Retry
from berrante.messaging.instances import Instances
from berrante.messaging.intake import Intake
from berrante.messaging.messages.models import messages
from berrante.messaging.organizations import Organizations
from berrante.messaging.queues import Queues, open_queues
from berrante.messaging.reconciler import RECONCILE
from berrante.store import Database, migrate
from tests.campaigns.whatsapp import Exchange
from tests.campaigns.worker_process import STEPS, WORKED, Orders, main
from tests.conftest import OwnServer
from tests.waiting import until

RECIPIENTS = int(os.environ.get("BERRANTE_CRASH_RECIPIENTS", "300"))
#: Kills at a chosen step, at least.
KILLS = int(os.environ.get("BERRANTE_CRASH_KILLS", "13"))
#: After how many of these a server goes too.
SERVER_EVERY = 5
#: How often a process passes its step before it dies there, at most.
VISITS = 4
AT_ONCE = 2
PATIENCE_S = 120.0

_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.campaigns.worker_process"])


@dataclass(kw_only=True)
class World:
    """One campaign on servers of its own, with its workers; what is killed is counted."""

    orders: Orders
    valkey: OwnServer
    postgres: OwnServer
    exchange: Exchange
    database: Database
    queues: Queues
    campaign: Campaign
    luck: random.Random = field(default_factory=lambda: random.Random(11))
    working: list[ForkServerProcess] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)

    def start(self, *, die_at: str | None = None) -> ForkServerProcess:
        orders = replace(self.orders, die_at=die_at, die_after=self.luck.randint(1, VISITS))
        process = _forking.Process(target=main, args=(orders,), daemon=True)
        process.start()
        self.working.append(process)
        return process

    async def end(self, process: ForkServerProcess) -> None:
        process.kill()
        await until(lambda: not process.is_alive())
        self.working.remove(process)

    async def kill_server(self) -> None:
        turn = self.kills["PostgreSQL"] > self.kills["Valkey"]
        name, server = ("Valkey", self.valkey) if turn else ("PostgreSQL", self.postgres)
        await server.kill()
        await server.start()
        self.kills[name] += 1

    async def status(self) -> str:
        campaign = await Campaigns(self.database, self.queues).get(self.campaign.organization_id, self.campaign.id)
        assert campaign is not None
        return campaign.status.value

    async def rage(self) -> None:
        """Kill until enough died at their steps: two work at a time, and each has a step at which it dies.

        Now and then one is killed wherever it is, and now and then a server.
        """
        doomed: dict[ForkServerProcess, str] = {}
        steps: Iterator[str] = itertools.cycle(STEPS)
        number = 0
        while number < KILLS or not self.kills.keys() >= set(STEPS):
            while len(doomed) < AT_ONCE:
                step = next(steps)
                doomed[self.start(die_at=step)] = step
            dead = await self.until_dead(doomed)
            assert dead.exitcode == -signal.SIGKILL, f"it ended by itself before it was {doomed[dead]!r}"
            self.working.remove(dead)
            self.kills[doomed.pop(dead)] += 1
            number += 1
            if number % 5 == 0:
                unhurt, step = doomed.popitem()
                await self.end(unhurt)
                steps = itertools.chain([step], steps)
                self.kills["anywhere"] += 1
            if number % SERVER_EVERY == 0:
                await self.kill_server()
        for process in doomed:
            await self.end(process)

    async def until_dead(self, doomed: dict[ForkServerProcess, str]) -> ForkServerProcess:
        try:
            return await until(
                lambda: next((each for each in doomed if not each.is_alive()), None), timeout_s=PATIENCE_S
            )
        except TimeoutError:
            pytest.fail(f"nobody came by {list(doomed.values())}: {await self.account()}")

    async def settle(self) -> None:
        """Let the rest be sent, and every receipt arrive."""

        async def is_finished() -> bool:
            return await self.status() == "finished"

        async def is_quiet() -> bool:
            counts = await self.queues.message.counts()
            waiting = [State.WAITING, State.ACTIVE, State.DELAYED, State.PRIORITIZED]
            return not self.exchange.simulator.pending and not sum(counts[state] for state in waiting)

        await self.until_still(is_finished)
        await self.until_still(is_quiet)

    async def until_still(self, is_done: Callable[[], Awaitable[bool]]) -> None:
        """Wait as long as anything goes on: more is seen, or fewer receipts wait."""

        async def signs() -> tuple[int, int, int]:
            counts = await self.queues.message.counts()
            return self.exchange.screens().total(), self.exchange.simulator.pending, counts[State.COMPLETED]

        while True:
            before = await signs()

            async def is_done_or_moves(before: tuple[int, int, int] = before) -> bool:
                return await is_done() or await signs() != before

            try:
                await until(is_done_or_moves, timeout_s=PATIENCE_S)
            except TimeoutError:
                pytest.fail(f"it stands still: {await self.account()}")
            if await is_done():
                return

    async def account(self) -> str:
        ledger = await CampaignAccount(self.database, self.queues).ledger(
            self.campaign.organization_id, self.campaign.id
        )
        queues = {name.value: await self.queues[name].counts() for name in WORKED}
        return f"{ledger}, {queues}, after {self.kills}"


@pytest.fixture(params=[True, False], ids=["sent again", "in doubt"])
async def world(
    request: pytest.FixtureRequest, own_valkey: OwnServer, own_postgres: OwnServer, server_folder: Path, prefix: str
) -> AsyncIterator[World]:
    await migrate(own_postgres.url)
    database = Database(own_postgres.url)
    organization_id = (await Organizations(database).create("Acme")).id
    await Instances(database).create(organization_id=organization_id, id="sales")
    path = server_folder / "whatsapp"
    async with Connection.from_url(own_valkey.url) as connection:
        queues = open_queues(connection, prefix=prefix)
        await queues.maintenance.schedulers.upsert(RECONCILE, name=RECONCILE, every_ms=1_000)
        campaigns = Campaigns(database, queues)
        campaign = await campaigns.create(
            organization_id=organization_id,
            instance_id="sales",
            name="Crash",
            body="{Oi|Olá}!",
            recipients=[f"+55119{number:08}" for number in range(RECIPIENTS)],
            pace={"window": 20, "pause_at_failures": None, "per_minute": 480, "jitter": 0.5},
        )
        simulator = Simulator(
            Intake(queues), latency_ms=Latency(sent=(5, 50), delivered=(10, 100)), habits=Habits(reading=0)
        )
        exchange = Exchange(simulator)
        world = World(
            orders=Orders(
                redis_url=own_valkey.url,
                database_url=own_postgres.url,
                prefix=prefix,
                exchange=str(path),
                resend_is_safe=request.param,
            ),
            valkey=own_valkey,
            postgres=own_postgres,
            exchange=exchange,
            database=database,
            queues=queues,
            campaign=campaign,
        )
        async with exchange.open(path):
            yield world
            for process in list(world.working):
                await world.end(process)
    await database.close()


@pytest.mark.timeout(3_600)
async def test_kills_at_every_step_double_and_skip_nobody(
    world: World, record_property: Callable[[str, object], None]
) -> None:
    campaigns, organization_id = Campaigns(world.database, world.queues), world.campaign.organization_id
    await campaigns.start(organization_id, world.campaign.id)
    await world.rage()
    fast = {"window": 200, "pause_at_failures": None, "per_minute": 60_000}
    await campaigns.update(organization_id, world.campaign.id, pace=fast)
    world.start()
    world.start()
    await world.settle()

    numbers = {f"+55119{number:08}" for number in range(RECIPIENTS)}
    screens = world.exchange.screens()
    assert {address: seen for address, seen in screens.items() if seen > 1} == {}, f"twice, after {world.kills}"
    assert screens.keys() <= numbers
    account = CampaignAccount(world.database, world.queues)
    ledger = await account.ledger(organization_id, world.campaign.id)
    assert ledger.is_clean, f"{ledger}, after {world.kills}"
    assert (ledger.planned, ledger.sent, ledger.in_doubt) == (RECIPIENTS, len(screens), RECIPIENTS - len(screens))
    if world.orders.resend_is_safe:
        assert screens.keys() == numbers, f"not seen, after {world.kills}"
    else:
        # WhatsApp would show again what is sent again: nothing was, and what is in doubt is what died in flight.
        assert set(world.exchange.sends.values()) == {1}
        killed = world.kills.total() - world.kills["Valkey"] - world.kills["PostgreSQL"]
        assert ledger.in_doubt <= killed * WORKED_AT_ONCE, world.kills
        async with world.database.begin() as connection:
            query = select(func.count()).where(messages.c.status == "in_doubt")
            assert (await connection.execute(query)).scalar_one() == ledger.in_doubt
        # Whoever saw nothing gets it, once told to; receipts said of the others that they saw it.
        assert await campaigns.retry(organization_id, world.campaign.id, Retry(in_doubt=True)) == ledger.in_doubt
        await world.settle()
        assert world.exchange.screens() == dict.fromkeys(numbers, 1)
    assert world.kills.keys() == {*STEPS, "anywhere", "Valkey", "PostgreSQL"}
    record_property("killed", dict(world.kills))
    record_property("in_doubt", ledger.in_doubt)


#: Sends that a killed process may have had in hand.
WORKED_AT_ONCE = next(concurrency for name, concurrency in WORKED.items() if name.value == "outbound")
