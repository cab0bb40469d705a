"""The queue engine: BullMQ's wire format on Redis or Valkey, in typed asyncio Python.

It knows no WhatsApp and no SQL.
"""

from berrante.engine.batches import BatchHandler
from berrante.engine.connection import Connection
from berrante.engine.dead_letters import DeadLetters
from berrante.engine.errors import (
    EngineError,
    HasOtherParent,
    IncompatibleScripts,
    InvalidPayload,
    JobDidFail,
    JobMissing,
    JobNotInState,
    JobTimedOut,
    LockLost,
    QueueBusy,
    Unrecoverable,
)
from berrante.engine.flows import Flow, FlowProducer, JobTree
from berrante.engine.groups import Groups, GroupStats, Override, Place, Waits
from berrante.engine.job import Job
from berrante.engine.metrics import Metrics
from berrante.engine.options import Batch, Deduplication, JobOptions, RateLimit, WorkerOptions
from berrante.engine.outcomes import Cancel, Done, Outcome, RateLimited, Snooze
from berrante.engine.policy.backoff import Backoff
from berrante.engine.policy.group_limits import GroupLimits, GroupRate
from berrante.engine.policy.retention import Retention
from berrante.engine.queue import NewJob, Queue
from berrante.engine.queue_events import QueueEvent, QueueEvents
from berrante.engine.runner import Handler
from berrante.engine.schedulers import Scheduler, Schedulers
from berrante.engine.state import State
from berrante.engine.wire.flowing import OnFailure
from berrante.engine.worker import Worker
from berrante.engine.worker_info import WorkerInfo

__all__ = [
    "Backoff",
    "Batch",
    "BatchHandler",
    "Cancel",
    "Connection",
    "DeadLetters",
    "Deduplication",
    "Done",
    "EngineError",
    "Flow",
    "FlowProducer",
    "GroupLimits",
    "GroupRate",
    "GroupStats",
    "Groups",
    "Handler",
    "HasOtherParent",
    "IncompatibleScripts",
    "InvalidPayload",
    "Job",
    "JobDidFail",
    "JobMissing",
    "JobNotInState",
    "JobOptions",
    "JobTimedOut",
    "JobTree",
    "LockLost",
    "Metrics",
    "NewJob",
    "OnFailure",
    "Outcome",
    "Override",
    "Place",
    "Queue",
    "QueueBusy",
    "QueueEvent",
    "QueueEvents",
    "RateLimit",
    "RateLimited",
    "Retention",
    "Scheduler",
    "Schedulers",
    "Snooze",
    "State",
    "Unrecoverable",
    "Waits",
    "Worker",
    "WorkerInfo",
    "WorkerOptions",
]
