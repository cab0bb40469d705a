"""A lane: one connection on which a worker's turns follow one another.

A busy worker has two: while Redis works on the turn of one, the answer of the other is being read and its next turn
prepared, so that Redis is never waited for.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from redis.exceptions import ResponseError

from berrante.engine.connection import is_unavailable
from berrante.engine.exchange import Exchange, Turn
from berrante.engine.notices import (
    JobLockLost,
    JobsUnreadable,
    Listener,
    Notice,
    OutcomeRefused,
    RedisLost,
    RedisRegained,
)
from berrante.engine.pace import Pace
from berrante.engine.runner import Runner
from berrante.engine.settlement import Settlement
from berrante.engine.ticker import is_cancelled
from berrante.engine.wire.codes import LOST, UNFINISHED_CHILDREN
from berrante.engine.wire.endings import Complete
from berrante.engine.wire.exchanging import USE_OFFICIAL

_RETRY_MS: Final = (50, 100, 200, 500, 1_000)


class Lane:
    """Settles what ended and takes what is free, turn after turn, until the pace stops and nothing is left."""

    def __init__(
        self,
        exchange: Exchange,
        runner: Runner,
        pace: Pace,
        *,
        queue: str,
        now_ms: Callable[[], int],
        listener: Listener | None,
    ) -> None:
        self._exchange = exchange
        self._runner = runner
        self._pace = pace
        self._queue = queue
        self._now_ms = now_ms
        self._tell = listener
        self._failures = 0
        self._lost_at_ms = 0

    async def run(self) -> None:
        """Take turns; a Redis that is away is asked again, with growing pauses."""
        while not (self._pace.is_stopping and self._runner.is_idle) and not is_cancelled():
            try:
                if not await self.turn():
                    await self._pace.rest(self._now_ms())
            except Exception as error:
                if not is_unavailable(error):
                    raise
                await self._wait_for_redis(error)

    async def turn(self) -> bool:
        """Take one turn; False if there is nothing to do now. Raises if Redis cannot be reached."""
        want = self._pace.want(self._now_ms(), running=self._runner.running, settling=len(self._runner.settling))
        settlements = self._runner.claim(self._exchange.most)
        want = min(want, self._exchange.most)
        if not want and not settlements:
            return False
        self._pace.asked += want
        rings = self._pace.rings
        try:
            turn = await self._exchange.turn(settlements, want)
        except BaseException:
            for settlement in settlements:
                settlement.sent += 1
            self._runner.unclaim(settlements, settlements)
            raise
        finally:
            self._pace.asked -= want
        for job in turn.jobs:
            self._runner.start(job)
        if want:
            self._pace.plan(turn, self._now_ms(), rings=rings)
        self._settled(settlements, turn)
        if self._failures:
            await self._recover()
        return True

    def _settled(self, settlements: list[Settlement], turn: Turn) -> None:
        unavailable: Exception | None = None
        again: list[Settlement] = []
        for settlement, answer in zip(settlements, turn.answers, strict=True):
            if isinstance(answer, Exception) and is_unavailable(answer):
                settlement.sent += 1
                unavailable = answer
                again.append(settlement)
            elif answer == USE_OFFICIAL:
                settlement.official = True
                again.append(settlement)
            elif answer in UNFINISHED_CHILDREN and isinstance(settlement.ending, Complete):
                again.append(self._runner.fail_instead(settlement, UNFINISHED_CHILDREN[answer]))
            else:
                self._runner.release(settlement.job)
                if self._tell:
                    self._tell(self._verdict(settlement, answer))
        self._runner.unclaim(settlements, again)
        if turn.broken and self._tell:
            self._tell(JobsUnreadable(queue=self._queue, job_ids=tuple(turn.broken)))
        if unavailable:
            raise unavailable

    def _verdict(self, settlement: Settlement, answer: object) -> Notice:
        job = settlement.job
        if isinstance(answer, ResponseError):
            return OutcomeRefused(queue=self._queue, job=job, error=str(answer))
        if isinstance(answer, int) and answer < 0:
            if answer not in LOST:
                return OutcomeRefused(queue=self._queue, job=job, error=f"code {answer}")
            if not settlement.sent or job.is_lost:
                job.lock_lost.set()
                return JobLockLost(queue=self._queue, job=job, during=type(settlement.ending).__name__)
            # An earlier try was applied, and its answer lost with the connection.
        return settlement.notice(self._queue)

    async def _wait_for_redis(self, error: Exception) -> None:
        retry_ms = _RETRY_MS[min(self._failures, len(_RETRY_MS) - 1)]
        if not self._failures:
            self._lost_at_ms = self._now_ms()
            if self._pace.lose_redis() and self._tell:
                unsettled = len(self._runner.settling)
                self._tell(RedisLost(queue=self._queue, error=str(error), retry_ms=retry_ms, unsettled=unsettled))
        self._failures += 1
        await asyncio.sleep(retry_ms / 1_000)

    async def _recover(self) -> None:
        """Hand back what a lost answer left active under this lane's lock: nobody runs it."""
        for job in await self._exchange.orphans({job.id for job in self._runner.held}):
            self._runner.hand_back(job, because="its delivery was lost with the connection")
        self._failures = 0
        if self._pace.regain_redis() and self._tell:
            self._tell(RedisRegained(queue=self._queue, away_ms=self._now_ms() - self._lost_at_ms))
