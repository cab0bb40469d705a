"""The worker: takes jobs, has them run, and tells Redis what came of them."""

import asyncio
import os
import random
import socket
import uuid
from collections.abc import Callable, Sequence
from typing import Final, cast

from berrante.engine.batches import Batches, BatchHandler, BatchRunner
from berrante.engine.cancellation import Cancellations
from berrante.engine.connection import Connection, is_unavailable
from berrante.engine.doorbell import LATER, NOW, Doorbell
from berrante.engine.exchange import Exchange
from berrante.engine.groups import Groups
from berrante.engine.lane import Lane
from berrante.engine.link import Link
from berrante.engine.lock_renewer import LockRenewer
from berrante.engine.notices import (
    JobHandedBack,
    Listener,
    Notice,
    WorkerStarted,
    WorkerStopped,
)
from berrante.engine.options import WorkerOptions
from berrante.engine.pace import Pace
from berrante.engine.runner import Handler, Runner
from berrante.engine.schedulers import Schedulers
from berrante.engine.settlement import Settler
from berrante.engine.stalled_sweeper import StalledSweeper
from berrante.engine.ticker import cancelled, every
from berrante.engine.time_limit import limited
from berrante.engine.tracing import Around, traced
from berrante.engine.wire.keys import QueueKeys

#: Jobs of a turn at most: Redis does nothing else meanwhile, and Lua unpacks no more than some thousands.
_MOST: Final = 1_000
_FLUSH_GRACE_S: Final = 2.0


class Worker:
    """Takes jobs of one queue and runs ``handler`` on each, up to ``options.concurrency`` at once.

    The handler returns a value or an ``Outcome``, or raises; see ``outcomes`` and ``Unrecoverable``. Outcomes are sent
    to Redis apart from the handler: if that fails, they are sent again, and the handler is never run again for it.

    A run is cancelled (``CancelledError`` in the handler, which may clean up) by ``options.job_timeout_ms``, by
    ``Queue.cancel`` from any process, and by a stop's deadline. With ``options.batch`` the handler takes a sequence of
    jobs and answers as ``batches.BatchHandler`` says. ``around`` is entered about each run; see ``tracing``.

    Example::

        worker = Worker("message", handle, connection, WorkerOptions(concurrency=5))
        await worker.run()
    """

    def __init__(
        self,
        queue: str,
        handler: Handler | BatchHandler,
        connection: Connection,
        options: WorkerOptions | None = None,
        *,
        prefix: str = "bull",
        listener: Listener | None = None,
        around: Around | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:
        connection.admit(prefix)
        self.id = uuid.uuid4().hex
        self.options = options or WorkerOptions()
        self.name = self.options.name or f"{socket.gethostname()}-{os.getpid()}"
        self.keys = QueueKeys(queue, prefix=prefix)
        self.is_running = False
        self._connection = connection
        self._listener = listener
        self._wake = asyncio.Event()
        self._stopped = asyncio.Event()
        batch = self.options.batch
        self._places = self.options.concurrency * (batch.size if batch else 1)
        self._chance = chance
        self._pace = Pace(self._places, wake=self._wake, arm=self._listen)
        self._handed_back = 0
        self._runner = self._make_runner(
            handler, around, Settler(self.options, now_ms=connection.now_ms, chance=chance)
        )
        self._cancellations = Cancellations(connection, self.keys, self._runner)

    @property
    def queue(self) -> str:
        """The name of the queue."""
        return self.keys.queue

    async def run(self) -> None:
        """Work until ``stop``; outlives a Redis that goes away and returns. May be called once."""
        if self._pace.is_stopping:
            return
        if self.is_running or self._stopped.is_set():
            raise RuntimeError(f"worker of {self.queue!r} was started before: make another one")
        self.is_running = True
        block_ms = self.options.block_ms
        blocking = self._connection.client(
            name=self.keys.client_name(self.name), timeout_s=block_ms / 1_000 + 5, single=True
        )
        links = [self._connection.link() for _ in range(1 if self._places < 4 else 2)]
        markers = [self.keys.marker, self.keys.group_marker]
        self._doorbell = Doorbell(blocking, markers, block_ms=block_ms, answer=self._rung)
        self._tell(WorkerStarted(queue=self.queue, worker=self.name, concurrency=self.options.concurrency))
        side = self._side_tasks()
        self._lanes = lanes = [asyncio.create_task(self._lane(link, n).run()) for n, link in enumerate(links)]
        working = asyncio.create_task(_all(lanes))
        try:
            # A side task never ends by itself: if one does, it raised, and so do we, rather than work on without it.
            await asyncio.wait([working, *side], return_when=asyncio.FIRST_COMPLETED)
            for task in side:
                if task.done():
                    task.result()
            await working
        finally:
            was_listening = self._doorbell.is_armed
            self._runner.cancel()
            await cancelled(working, *lanes, *side)
            await blocking.aclose()
            if was_listening:
                await self._pass_on()
            for link in links:
                await link.close()
            self.is_running = False
            self._stopped.set()
            unsettled = len(self._runner.settling)
            self._tell(
                WorkerStopped(queue=self.queue, worker=self.name, handed_back=self._handed_back, unsettled=unsettled)
            )

    async def work_off(self) -> None:
        """Run what waits and what is due, alone and without ``run``, and return once there is nothing more to do now.

        Made for tests and for jobs by the hour: locks are not renewed, nothing is listened to, and a Redis that goes
        away raises. A queue that is paused or limited has nothing to do.
        """
        link = self._connection.link()
        try:
            lane = self._lane(link, 0)
            while True:
                self._wake.clear()
                if await lane.turn():
                    continue
                if self._runner.is_idle:
                    return
                await self._wake.wait()
        finally:
            await link.close()

    async def stop(self, deadline_ms: int | None = None) -> None:
        """Take no more jobs and wait for those that run; after ``deadline_ms`` hand back the rest, uncharged.

        Returns once all is told to Redis, or a moment after the deadline if Redis is away: such jobs run again when
        their lock expires.
        """
        self._pace.stop()
        self._runner.hurry()
        if not self.is_running:
            self._stopped.set()
            return
        wait_s = (self.options.stop_deadline_ms if deadline_ms is None else deadline_ms) / 1_000
        try:
            await asyncio.wait_for(self._stopped.wait(), wait_s)
        except TimeoutError:
            self._runner.hand_back_all()
            try:
                await asyncio.wait_for(self._stopped.wait(), _FLUSH_GRACE_S)
            except TimeoutError:
                for lane in self._lanes:
                    lane.cancel()
                await self._stopped.wait()

    def _make_runner(self, handler: Handler | BatchHandler, around: Around | None, settler: Settler) -> Runner:
        options, listener, now_ms = self.options, self._listener, self._connection.now_ms
        schedulers = Schedulers(self._connection, self.keys)
        if options.batch is None:
            one = cast("Handler", handler)
            one = limited(one, options.job_timeout_ms) if options.job_timeout_ms else one
            one = traced(one, around) if around else one
            return Runner(one, settler, schedulers, now_ms=now_ms, wake=self._wake, listener=listener)
        many = cast("BatchHandler", handler)
        many = limited(many, options.job_timeout_ms) if options.job_timeout_ms else many
        batches = Batches(many, options.batch, concurrency=options.concurrency)
        one = traced(batches, around) if around else batches
        return BatchRunner(batches, one, settler, schedulers, now_ms=now_ms, wake=self._wake, listener=listener)

    def _lane(self, link: Link, number: int) -> Lane:
        letters, batch = self.options.dead_letters, self.options.batch
        exchange = Exchange(
            link,
            self._connection,
            self.keys,
            self.options,
            letters=QueueKeys(letters, prefix=self.keys.prefix) if letters else None,
            worker=self.options.name,  # as in BullMQ, a worker without a name leaves none on its jobs
            token=f"{self.id}:{number}",  # a lane may only take back what it took itself
            most=batch.size if batch else min(_MOST, self._places // 3 or self._places),
            chance=self._chance,
        )
        return Lane(
            exchange,
            self._runner,
            self._pace,
            queue=self.queue,
            now_ms=self._connection.now_ms,
            listener=self._heard if self._listener else None,
        )

    def _side_tasks(self) -> list[asyncio.Task[None]]:
        options = self.options
        renewer = LockRenewer(
            self._connection,
            self.keys,
            lock_ms=options.lock_ms,
            held=lambda: self._runner.held,
            runs=self._runner.runs,
            listener=self._tell,
        )
        sweeper = StalledSweeper(
            self._connection,
            self.keys,
            max_stalled=options.max_stalled,
            interval_ms=options.stalled_interval_ms,
            listener=self._tell,
        )
        return [
            asyncio.create_task(self._doorbell.run()),
            asyncio.create_task(every(max(1, options.lock_ms // 2), renewer.renew)),
            asyncio.create_task(self._cancellations.run()),
            asyncio.create_task(every(max(1, options.lock_ms // 2), self._cancellations.look)),
            asyncio.create_task(every(options.stalled_interval_ms, sweeper.sweep)),
        ]

    def _listen(self) -> None:
        if self.is_running:  # else the queue is being worked off, and nobody waits for more
            self._doorbell.arm()

    def _rung(self, member: bytes | None, score: int) -> bool:
        if self._pace.is_stopping or self._runner.running >= self._places:
            return False
        if member == LATER and score > self._connection.now_ms():
            self._pace.expect(score)
            self._doorbell.arm()
        else:
            self._pace.ask_again()
        return True

    def _heard(self, notice: Notice) -> None:
        if isinstance(notice, JobHandedBack):
            self._handed_back += 1
        self._tell(notice)

    async def _pass_on(self) -> None:
        """Ring for another worker: the marker may have reached us just as we stopped listening."""
        try:
            await self._connection.redis.zadd(self.keys.marker, {NOW: 0})
            await Groups(self._connection, self.keys).ring()
        except Exception as error:
            if not is_unavailable(error):
                raise

    def _tell(self, notice: Notice) -> None:
        if self._listener:
            self._listener(notice)


async def _all(lanes: Sequence[asyncio.Task[None]]) -> None:
    await asyncio.gather(*lanes)
