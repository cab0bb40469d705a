"""What the operator reads: structured log events, with their names and fields in one table (``docs/events.md``).

Others tell (workers by notices); this room listens and writes.
"""

from berrante.telemetry import events, trace
from berrante.telemetry.event import LogEvent, UnknownField
from berrante.telemetry.logging_setup import configure
from berrante.telemetry.metrics import Metrics
from berrante.telemetry.privacy import masked, scrubbed
from berrante.telemetry.tracing import Tracing
from berrante.telemetry.worker_log import log_notice

__all__ = [
    "LogEvent",
    "Metrics",
    "Tracing",
    "UnknownField",
    "configure",
    "events",
    "log_notice",
    "masked",
    "scrubbed",
    "trace",
]
