"""What a queue's workers counted per minute."""

from dataclasses import dataclass

from berrante.engine.connection import Connection
from berrante.engine.state import State
from berrante.engine.wire import administering
from berrante.engine.wire.keys import QueueKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class Metrics:
    """How many jobs completed, or failed, over all workers that count (``WorkerOptions.metrics_minutes``).

    ``total`` counts all so far. ``per_minute`` holds the asked-for points, the latest full minute first, of the
    ``minutes`` that are kept; ``counted_at_ms`` is when the latest point was made, and ``counted`` the total then.
    """

    total: int
    per_minute: tuple[int, ...]
    minutes: int
    counted_at_ms: int
    counted: int


async def read_metrics(connection: Connection, keys: QueueKeys, state: State, *, start: int, end: int) -> Metrics:
    """Read a state's metrics; raises ``ValueError`` for a state that is not counted."""
    if state not in (State.COMPLETED, State.FAILED):
        raise ValueError(f"there are no metrics of {state.value!r}: ask for State.COMPLETED or State.FAILED")
    (total, counted_at, counted), points, minutes = await connection.run(
        administering.metrics(keys, state.key, start=start, end=end)
    )
    return Metrics(
        total=int(total or 0),
        per_minute=tuple(int(point) for point in points),
        minutes=minutes,
        counted_at_ms=int(counted_at or 0),
        counted=int(counted or 0),
    )
