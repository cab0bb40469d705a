"""A worker's process is killed at every step of a send: nothing lost, nothing seen twice, order per chat.

For Baileys, whose sidecar can be killed too, see ``tests/gateways/baileys/test_killed.py``.
"""

import multiprocessing
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from multiprocessing.context import ForkServerProcess
from uuid import UUID

import pytest

from berrante.messaging.messages import Message
from tests.campaigns.whatsapp import Exchange
from tests.campaigns.worker_process import Orders, main
from tests.gateways.contract.chats import DONE, Chat, new_chat
from tests.gateways.contract.engines import Engines
from tests.gateways.contract.worlds import World, cloud, simulated
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

#: Of the steps of a worker those between which what is known of a message changes; all are in
#: ``tests/campaigns/test_crashes.py``. Graph says nothing between question and answer.
SENDING = ("taken", "claimed, not committed", "claimed", "asked", "answered", "outcome stored", "receipt stored")
OVER_CLOUD = tuple(step for step in SENDING if step != "asked")
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(["tests.campaigns.worker_process"])


@dataclass(kw_only=True)
class Workers:
    """The processes that work for a world."""

    orders: Orders
    working: list[ForkServerProcess] = field(default_factory=list)

    def start(self, *, die_at: str | None = None) -> ForkServerProcess:
        process = _forking.Process(target=main, args=(replace(self.orders, die_at=die_at),), daemon=True)
        process.start()
        self.working.append(process)
        return process

    async def end(self) -> None:
        """SIGKILL all that live, wherever they are."""
        for process in self.working:
            process.kill()
        await until(lambda: not any(process.is_alive() for process in self.working))


@asynccontextmanager
async def opened(gateway: str, engines: Engines) -> AsyncIterator[tuple[World, Workers]]:
    """Open a world of which no work is done in this process."""
    path = engines.folder / "whatsapp"
    workers = Workers(
        orders=Orders(
            redis_url=engines.redis_url,
            database_url=engines.database_url,
            prefix=engines.prefix,
            exchange=str(path),
            encryption_key=engines.encryption_key,
        )
    )
    if gateway == "cloud":
        async with cloud(engines, works=False) as world:
            yield world, workers
            await workers.end()
        return
    async with simulated(engines, works=False) as simulator, Exchange(simulator.application.simulator).open(path):
        yield simulator, workers
        await workers.end()


@pytest.mark.parametrize(
    ("gateway", "steps"), [("simulator", SENDING), ("cloud", OVER_CLOUD)], ids=["simulator", "cloud"]
)
async def test_a_worker_killed_at_every_step_loses_nothing_and_shows_nothing_twice(
    engines: Callable[[], Awaitable[Engines]], gateway: str, steps: tuple[str, ...]
) -> None:
    async with opened(gateway, await engines()) as (world, workers):
        workers.start()
        chats = {step: await new_chat(world) for step in steps}
        await workers.end()
        sent = {}
        for step, chat in chats.items():
            sent[step] = await chat.send("one", "two")
            await chat.write("three")
            process = workers.start(die_at=step)
            await until(lambda process=process: not process.is_alive(), timeout_s=60)
            assert process.exitcode == -signal.SIGKILL
        workers.start()

        for step, chat in chats.items():
            messages = [await chat.settled(message_id, *DONE, "in_doubt") for message_id in sent[step]]
            # What is in doubt may still be settled by what Meta tells: by the last of all, all is told.
            assert await chat.incoming(2) == ["Hello", "three"]
            assert [each.attempts for each in messages] == [0, 0]
        unseen = 0
        for step, chat in chats.items():
            seen = await chat.screen()
            assert seen == [text for text in ("one", "two") if text in seen], step
            unseen += 2 - len(seen)
            for text, message_id in zip(("one", "two"), sent[step], strict=True):
                await told(chat, message_id, is_seen=text in seen)
        # What Meta was not asked for, or may not have been, is in doubt; a phone shows an id once.
        assert unseen <= (len(steps) if gateway == "cloud" else 0)


async def told(chat: Chat, message_id: UUID, *, is_seen: bool) -> Message:
    """Wait until a message that was seen is known to be, and one that was not is known to be in doubt."""
    return await chat.settled(message_id, *(DONE if is_seen else ("in_doubt",)))
