"""The queue ``webhook``: sends one stored delivery to its endpoint, at least once, until it is taken."""

import random
from collections.abc import Callable
from typing import Final

from berrante.engine import Job, Snooze, Unrecoverable
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.endpoints import outcomes, policy, signing
from berrante.messaging.endpoints.emitting import enqueue
from berrante.messaging.endpoints.jobs import DELIVER, DeliverPayload
from berrante.messaging.endpoints.outcomes import Due
from berrante.messaging.endpoints.sending import Sender
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.store import Database, EncryptionError

#: How soon a delivery is looked at again whose endpoint's secret this process cannot read.
_UNREADABLE_MS: Final = 60_000


class WebhookHandler:
    """Handles ``deliver``. A worker that is killed at it sends again: the same id, the same bytes.

    How many go to one endpoint at once is its group's concurrency. The tries are counted on the row, not by the job:
    losing Redis forgets none of them, and a delivery that waits for an endpoint at rest uses none up.
    """

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        sender: Sender,
        clock: Clock,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._queues = queues
        self._sender = sender
        self._clock = clock
        self._chance = chance

    async def __call__(self, job: Job) -> object:
        """Try one delivery; raises ``Unrecoverable`` for a job that can never be done."""
        if job.name != DELIVER:
            raise Unrecoverable(f"queue 'webhook' has no jobs named {job.name!r}: use {DELIVER!r}")
        payload = read(job, DeliverPayload)
        try:
            return await self._try(payload)
        except EncryptionError as error:
            # Not the endpoint's fault, and it may be read elsewhere: a worker that has the key sends it.
            async with self._database.begin() as connection:
                await outcomes.waits(connection, payload.delivery_id, because=str(error))
            return self._later(_UNREADABLE_MS)

    async def _try(self, payload: DeliverPayload) -> object:
        now = moment(self._clock())
        async with self._database.begin() as connection:
            due = await outcomes.find(connection, payload.delivery_id)
            if due is None:  # its endpoint was deleted
                return {"status": "gone"}
            if due.organization_id != payload.organization_id:
                raise Unrecoverable(f"delivery {due.id} does not belong to organization {payload.organization_id}")
            if due.status != "pending" or due.round != payload.round:
                return {"status": due.status}
            if due.disabled_reason is not None:
                await outcomes.skipped(connection, due)
                return {"status": "skipped"}
            match policy.next_step(failures=due.failures, open_until=due.open_until, now=now):
                case policy.Rest(until):
                    return self._later(milliseconds(until) - milliseconds(now))
                case policy.Try(probe=True) if not await outcomes.may_probe(connection, due, now=now):
                    return self._later(round(policy.PROBE.total_seconds() * 1_000))
        return await self._send(due)

    async def _send(self, due: Due) -> object:
        now = moment(self._clock())
        headers = signing.headers(
            due.keys(now),
            delivery_id=due.id,
            event=due.event,
            timestamp_s=int(now.timestamp()),
            attempt=due.attempts + 1,
            body=due.body,
        )
        answer = await self._sender.post(due.url, body=due.body, headers=headers)
        now = moment(self._clock())
        if answer.error is None:
            async with self._database.begin() as connection:
                await outcomes.delivered(connection, due, answer, now=now)
            return {"status": "delivered", "code": answer.status}
        async with self._database.begin() as connection:
            outcome = await outcomes.failed(connection, due, answer, now=now, chance=self._chance())
        await enqueue(self._queues, outcome.told)
        if outcome.wait_ms is not None:
            return Snooze(outcome.wait_ms)
        return {"status": "failed", "code": answer.status, "reason": answer.error, "disabled": outcome.disabled}

    def _later(self, ms: int) -> Snooze:
        # Spread over a second: what waited together need not come together.
        return Snooze(max(0, ms) + round(1_000 * self._chance()))
