"""What a test of the flow needs: the services, the handlers, real workers, and a clock that can be moved."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from berrante.app.options import worker_options
from berrante.engine import BatchHandler, Handler, Job, JobOptions, State, Worker, WorkerOptions
from berrante.engine.connection import system_clock
from berrante.engine.notices import JobFailed, JobLockLost, JobRetried, Notice, OutcomeRefused
from berrante.gateways.protocol import Content, Gateway
from berrante.messaging import tables
from berrante.messaging.automations import Automations
from berrante.messaging.campaigns import Campaigns
from berrante.messaging.endpoints import Deliveries, Endpoints, Sender
from berrante.messaging.handlers import batch_handlers, handlers
from berrante.messaging.instances import Instance
from berrante.messaging.intake import Intake
from berrante.messaging.messages import Message, Messages, MessageStatus
from berrante.messaging.organizations import Organization
from berrante.messaging.outbound.service import Outbound
from berrante.messaging.outbound.signals import Signal
from berrante.messaging.queues import QueueName, Queues
from berrante.messaging.reconciler import Reconciler, Swept
from berrante.settings import Settings
from berrante.store import Database
from tests.messaging.gateway import ScriptedGateway
from tests.waiting import until

NOW_MS = 1_800_000_000_000


def alone(handler: BatchHandler) -> Handler:
    """Return a handler of batches as one of single jobs."""

    async def handle(job: Job) -> object:
        outcomes = await handler([job])
        assert isinstance(outcomes, Mapping)
        outcome = outcomes[job.id]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return handle


@dataclass(kw_only=True)
class Platform:
    """One organization with one number ``sales``."""

    database: Database
    queues: Queues
    prefix: str
    organization: Organization
    instance: Instance
    gateway: ScriptedGateway
    ahead_ms: int = 0
    sender: Sender = field(default_factory=lambda: Sender(allow_loopback=True))
    notices: list[Notice] = field(default_factory=list)
    signals: list[Signal] = field(default_factory=list)
    _running: list[tuple[Worker, asyncio.Task[None]]] = field(default_factory=list)

    def clock(self) -> int:
        return system_clock() + self.ahead_ms

    @property
    def intake(self) -> Intake:
        return Intake(self.queues)

    @property
    def messages(self) -> Messages:
        return Messages(self.database)

    @property
    def automations(self) -> Automations:
        return Automations(self.database)

    @property
    def campaigns(self) -> Campaigns:
        return Campaigns(self.database, self.queues)

    @property
    def endpoints(self) -> Endpoints:
        return Endpoints(self.database, self.queues, allow_loopback=True, clock=self.clock)

    @property
    def deliveries(self) -> Deliveries:
        return Deliveries(self.database, self.queues, clock=self.clock)

    def outbound(self, gateways: Mapping[str, Gateway] | None = None) -> Outbound:
        return Outbound(self.database, self.queues, gateways or {self.gateway.name: self.gateway}, self.clock)

    def handlers(self, gateways: Mapping[str, Gateway] | None = None) -> dict[QueueName, Handler]:
        """Return what works on each queue, one job at a time."""
        single = handlers(
            database=self.database,
            queues=self.queues,
            gateways=gateways or {self.gateway.name: self.gateway},
            clock=self.clock,
            listener=self.listen,
            campaign_per_minute=60_000,
            sender=self.sender,
        )
        return {**single, **{name: alone(handler) for name, handler in self.batch_handlers(gateways).items()}}

    def batch_handlers(self, gateways: Mapping[str, Gateway] | None = None) -> dict[QueueName, BatchHandler]:
        return batch_handlers(
            database=self.database,
            queues=self.queues,
            gateways=gateways or {self.gateway.name: self.gateway},
            clock=self.clock,
            listener=self.listen,
        )

    async def listen(self, signal: Signal) -> None:
        self.signals.append(signal)

    def work(self, *names: QueueName, gateways: Mapping[str, Gateway] | None = None, concurrency: int = 5) -> None:
        """Start a worker for each queue, or for all: its groups are the product's, at any rate."""
        for name, handler in self.handlers(gateways).items():
            if names and name not in names:
                continue
            product = worker_options(Settings(), name)
            options = WorkerOptions(
                concurrency=concurrency,
                dead_letters=QueueName.DEAD_LETTER.value,
                groups=replace(product.groups, rate=None) if product.groups else None,
                group_by=product.group_by,
                batch=product.batch,
            )
            worker = Worker(
                name.value,
                self.batch_handlers(gateways)[name] if product.batch else handler,
                self.queues.connection,
                options,
                prefix=self.prefix,
                listener=self.notices.append,
            )
            self._running.append((worker, asyncio.create_task(worker.run())))

    async def stop(self) -> None:
        for worker, task in self._running:
            await worker.stop(deadline_ms=2_000)
            await task
        self._running.clear()
        refused = [notice for notice in self.notices if isinstance(notice, OutcomeRefused | JobLockLost)]
        assert not refused, [(type(n).__name__, str(n)[:1500]) for n in refused[:3]]

    async def incoming(
        self, text: object = "Oi", *, message_id: str = "m1", sent_at: object = NOW_MS, **other: object
    ) -> str:
        """Add an ``incoming`` job as a Node producer would; a value of None leaves the key out."""
        data = {
            "organizationId": str(self.organization.id),
            "instanceId": self.instance.id,
            "from": "+5511999990001",
            "content": text,
            "messageId": message_id,
            "sentAt": sent_at,
        } | other
        data = {name: value for name, value in data.items() if value is not None}
        return (await self.queues.message.add("incoming", data)).id

    async def receipt(
        self, about: str, status: str, *, at: int = NOW_MS, options: JobOptions | None = None, **other: object
    ) -> str:
        data = {
            "organizationId": str(self.organization.id),
            "instanceId": self.instance.id,
            "messageId": about,
            "status": status,
            "at": at,
        } | other
        return (await self.queues.message.add("receipt", data, options)).id

    async def finished(self, name: QueueName, job_id: str) -> Job:
        """Wait until a job is completed or failed, and return it."""
        queue = self.queues[name]

        async def is_finished() -> bool:
            return await queue.state(job_id) in {State.COMPLETED, State.FAILED}

        await until(is_finished)
        job = await queue.get(job_id)
        assert job is not None
        return job

    async def failure(self, name: QueueName, job_id: str) -> str:
        """Wait until a job failed for good at once, and return the reason that stands on its dead letter."""
        await self.finished(name, job_id)
        letters = [letter.data for letter in await self.queues.dead_letters.list()]
        (reason,) = [letter["failedReason"] for letter in letters if letter["jobId"] == job_id]
        assert [n.because for n in self.notices if isinstance(n, JobFailed) and n.job.id == job_id] == ["unrecoverable"]
        return str(reason)

    def retries(self, job_id: str) -> list[JobRetried]:
        return [notice for notice in self.notices if isinstance(notice, JobRetried) and notice.job.id == job_id]

    async def message(self, message_id: UUID) -> Message:
        message = await self.messages.get(self.organization.id, message_id)
        assert message is not None
        return message

    async def outgoing(self) -> list[Message]:
        """Return what was or is to be sent, the oldest first."""
        found = await self.messages.list(self.organization.id, limit=500)
        return [message for message in reversed(found) if message.direction == "out"]

    async def until_status(self, message_id: UUID, status: MessageStatus) -> Message:
        async def has_status() -> bool:
            return (await self.message(message_id)).status is status

        await until(has_status)
        return await self.message(message_id)

    async def queued_message(
        self, text: str = "Hello", to: str = "+5511999990001", *, content: Content | None = None
    ) -> UUID:
        """Store a message to be sent, and take its job away: the test says who sends it."""
        message_id = await self.outbound().send(
            organization_id=self.organization.id, instance_id=self.instance.id, to=to, text=text, content=content
        )
        await self.queues.outbound.remove(f"send-{message_id}")
        return message_id

    async def handle(
        self, name: QueueName, job: str, data: dict[str, Any], *, handler: Handler | None = None
    ) -> object:
        """Run a handler once on a job that is in no queue, as its first attempt."""
        made = await replace(self.queues[name], name=f"{name}-aside").add(job, data, self.queues[name].defaults)
        return await (handler or self.handlers()[name])(made)

    def send_data(self, message_id: UUID) -> dict[str, Any]:
        return {
            "organizationId": str(self.organization.id),
            "instanceId": self.instance.id,
            "messageId": str(message_id),
        }

    async def sweep(self) -> Swept:
        return await Reconciler(database=self.database, queues=self.queues, clock=self.clock).sweep()

    async def count(self, table: str) -> int:
        async with self.database.begin() as connection:
            query = select(func.count()).select_from(getattr(tables, table))
            return int((await connection.execute(query)).scalar_one())
