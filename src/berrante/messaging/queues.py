"""The names of the queues, and which priority each origin of a message has in a number's lane."""

import enum


class QueueName(enum.StrEnum):
    """The six queues; a job's trip is drawn in ``docs/job-flow.md``."""

    MESSAGE = "message"
    AUTOMATION = "automation"
    CAMPAIGN = "campaign"
    OUTBOUND = "outbound"
    DEAD_LETTER = "dead-letter"
    MAINTENANCE = "maintenance"


class Priority(enum.IntEnum):
    """A live reply overtakes an automation, which overtakes a campaign."""

    MESSAGE = 1
    AUTOMATION = 3
    CAMPAIGN = 5
