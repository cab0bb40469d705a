"""What works on a campaign, in a process of its own that may have a fuse: it kills itself at a given step."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from berrante.app.options import worker_options
from berrante.engine import BatchHandler, Connection, Handler, Job, Worker, WorkerOptions
from berrante.engine.notices import JobCompleted, Notice
from berrante.messaging import (
    outage,
    reconciler,
    tables,  # noqa: F401  whole metadata
)
from berrante.messaging.campaigns import handler as campaign_handler
from berrante.messaging.campaigns import lane
from berrante.messaging.handlers import batch_handlers, handlers
from berrante.messaging.messages import receipts
from berrante.messaging.outbound import claims, outcomes
from berrante.messaging.outbound.policy import steps
from berrante.messaging.queues import QueueName, open_queues
from berrante.settings import Settings
from berrante.store import Database
from tests.campaigns.whatsapp import Line

#: Where a process can be killed, in the order in which a recipient's message comes by.
STEPS: Final = (
    "written, not committed",
    "committed, without jobs",
    "jobs added",
    "taken",
    "claimed, not committed",
    "claimed",
    "asked",
    "answered",
    "outcome not committed",
    "outcome stored",
    "acknowledged",
    "receipt not committed",
    "receipt stored",
)
WORKED: Final = {QueueName.CAMPAIGN: 2, QueueName.OUTBOUND: 8, QueueName.MESSAGE: 4, QueueName.MAINTENANCE: 1}


@dataclass(frozen=True, kw_only=True)
class Orders:
    """Where the process works, and after how many visits of which step it kills itself (None: it does not)."""

    redis_url: str
    database_url: str
    prefix: str
    exchange: str
    resend_is_safe: bool = True
    die_at: str | None = None
    die_after: int = 1


class Fuse:
    """Kills the process at a step: no cleaning up, as when the power goes."""

    def __init__(self, orders: Orders) -> None:
        self._step = orders.die_at
        self._left = orders.die_after

    def reached(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def after(self, step: str, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def fused(*args: Any, **kwargs: Any) -> Any:
            answer = await run(*args, **kwargs)
            self.reached(step)
            return answer

        return fused

    def before(self, step: str, run: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def fused(*args: Any, **kwargs: Any) -> Any:
            self.reached(step)
            return await run(*args, **kwargs)

        return fused


def main(orders: Orders) -> None:
    """Work until killed."""
    _hurry()
    fuse = Fuse(orders)
    _lay(fuse)
    asyncio.run(_work(orders, fuse))


def _hurry() -> None:
    """A test does not wait half a minute after each kill."""
    steps.LEASE_MS = 1_500  # type: ignore[misc]
    lane.STALE = timedelta(seconds=2)  # type: ignore[misc]
    reconciler.GRACE = timedelta(seconds=3)  # type: ignore[misc]
    outage.RETRY_MS = 300  # type: ignore[misc]


def _lay(fuse: Fuse) -> None:
    places: tuple[tuple[object, str, str, Callable[..., Any]], ...] = (
        (campaign_handler, "write_next", "written, not committed", fuse.after),
        (campaign_handler.CampaignHandler, "_after", "committed, without jobs", fuse.before),
        (campaign_handler.CampaignHandler, "_after", "jobs added", fuse.after),
        (claims, "claim", "claimed, not committed", fuse.after),
        (outcomes, "emit_all", "outcome not committed", fuse.after),
        (receipts, "apply", "receipt not committed", fuse.after),
    )
    for where, name, step, how in places:
        setattr(where, name, how(step, getattr(where, name)))


async def _work(orders: Orders, fuse: Fuse) -> None:
    database = Database(orders.database_url, pool_size=8)
    async with Connection.from_url(orders.redis_url) as connection:
        queues = open_queues(connection, prefix=orders.prefix)
        handle = handlers(
            database=database,
            queues=queues,
            gateways={"simulator": Line(orders.exchange, resend_is_safe=orders.resend_is_safe, reached=fuse.reached)},
            campaign_per_minute=60_000,
        )
        handle_many = batch_handlers(database=database, queues=queues, gateways={})
        fused: dict[QueueName, Handler | BatchHandler] = {
            **handle,
            QueueName.OUTBOUND: _fused(handle[QueueName.OUTBOUND], fuse),
            QueueName.MESSAGE: _fused_batch(handle_many[QueueName.MESSAGE], fuse),
        }
        await asyncio.gather(*(_worker(name, fused[name], connection, orders, fuse).run() for name in WORKED))


def _fused(handle: Handler, fuse: Fuse) -> Handler:
    async def fused(job: Job) -> object:
        fuse.reached("taken")
        answer = await handle(job)
        fuse.reached("outcome stored")
        return answer

    return fused


def _fused_batch(handle: BatchHandler, fuse: Fuse) -> BatchHandler:
    async def fused(jobs: Sequence[Job]) -> object:
        answer = await handle(jobs)
        fuse.reached("receipt stored")
        return answer

    return fused


def _worker(
    name: QueueName, handle: Handler | BatchHandler, connection: Connection, orders: Orders, fuse: Fuse
) -> Worker:

    def listen(notice: Notice) -> None:
        if name is QueueName.OUTBOUND and isinstance(notice, JobCompleted):
            fuse.reached("acknowledged")

    product = worker_options(Settings(), name)
    options = WorkerOptions(
        concurrency=WORKED[name],
        batch=product.batch,
        lock_ms=1_500,
        stalled_interval_ms=500,
        max_stalled=1_000,
        groups=replace(product.groups, rate=None) if product.groups else None,
        group_by=product.group_by,
        dead_letters=QueueName.DEAD_LETTER.value,
    )
    return Worker(name.value, handle, connection, options, prefix=orders.prefix, listener=listen)
