"""The queues by name, how their jobs are run and kept, and which priority each origin has in a number's lane."""

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import Final

from berrante.engine import Backoff, Connection, DeadLetters, JobOptions, Queue, Retention


class QueueName(enum.StrEnum):
    """The seven queues; a job's trip is drawn in ``docs/job-flow.md``."""

    MESSAGE = "message"
    AUTOMATION = "automation"
    CAMPAIGN = "campaign"
    OUTBOUND = "outbound"
    WEBHOOK = "webhook"
    DEAD_LETTER = "dead-letter"
    MAINTENANCE = "maintenance"


class Priority(enum.IntEnum):
    """A live reply overtakes an automation, which overtakes a campaign."""

    MESSAGE = 1
    AUTOMATION = 3
    CAMPAIGN = 5


_HOUR_S: Final = 3_600
_WEEK_S: Final = 7 * 24 * _HOUR_S


def _kept(*, hours: int, completed: int, failed: int) -> JobOptions:
    return JobOptions(
        attempts=4,
        backoff=Backoff.exponential(2_000),  # 2 s, 4 s, 8 s
        keep_completed=Retention(age_s=hours * _HOUR_S, count=completed),
        keep_failed=Retention(age_s=_WEEK_S, count=failed),
    )


DEFAULT_JOB_OPTIONS: Final[Mapping[QueueName, JobOptions]] = MappingProxyType(
    {
        QueueName.MESSAGE: _kept(hours=24, completed=500, failed=500),
        QueueName.AUTOMATION: _kept(hours=24, completed=500, failed=500),
        QueueName.CAMPAIGN: _kept(hours=48, completed=100, failed=200),
        QueueName.OUTBOUND: _kept(hours=24, completed=500, failed=500),
        QueueName.WEBHOOK: _kept(hours=24, completed=500, failed=500),
        QueueName.MAINTENANCE: _kept(hours=24, completed=100, failed=200),
    }
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Queues:
    """All queues of one cell, over one connection."""

    connection: Connection
    message: Queue
    automation: Queue
    campaign: Queue
    outbound: Queue
    webhook: Queue
    maintenance: Queue
    dead_letters: DeadLetters

    def __getitem__(self, name: QueueName) -> Queue:
        """Return a queue by its name."""
        return {
            QueueName.MESSAGE: self.message,
            QueueName.AUTOMATION: self.automation,
            QueueName.CAMPAIGN: self.campaign,
            QueueName.OUTBOUND: self.outbound,
            QueueName.WEBHOOK: self.webhook,
            QueueName.MAINTENANCE: self.maintenance,
            QueueName.DEAD_LETTER: self.dead_letters.queue,
        }[name]


def open_queues(
    connection: Connection,
    *,
    prefix: str = "bull",
    options: Mapping[QueueName, JobOptions] = DEFAULT_JOB_OPTIONS,
    trace_context: Callable[[str], str | None] | None = None,
) -> Queues:
    """Open all queues under ``prefix``; does no I/O. A queue that ``options`` leaves out has the default ones.

    ``trace_context`` is asked, by a queue's name, for the trace that a job carries which is added to it now.
    """

    def queue(name: QueueName) -> Queue:
        defaults = options.get(name, DEFAULT_JOB_OPTIONS[name])
        asked = partial(trace_context, name.value) if trace_context else None
        return Queue(name.value, connection, prefix=prefix, defaults=defaults, trace_context=asked)

    return Queues(
        connection=connection,
        message=queue(QueueName.MESSAGE),
        automation=queue(QueueName.AUTOMATION),
        campaign=queue(QueueName.CAMPAIGN),
        outbound=queue(QueueName.OUTBOUND),
        webhook=queue(QueueName.WEBHOOK),
        maintenance=queue(QueueName.MAINTENANCE),
        dead_letters=DeadLetters(connection, QueueName.DEAD_LETTER.value, prefix=prefix),
    )
