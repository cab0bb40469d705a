"""A number's pace: from its settings in the database to the limits of its lane in Redis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from berrante.engine import GroupLimits, GroupRate, Queue
from berrante.engine.connection import is_unavailable
from berrante.messaging.instances import Instance
from berrante.messaging.instances.settings import InstanceSettings

_MOST_JITTER: Final = 0.99


def limits_of(settings: InstanceSettings) -> GroupLimits | None:
    """Return the limits of a number's lane; None if the number has no rate of its own.

    >>> limits_of(InstanceSettings(rate_max=1, rate_per_ms=30_000, jitter=0.2)).rate.gap_ms
    30000.0
    """
    if settings.rate_max is None:
        return None
    rate = GroupRate(max=settings.rate_max, duration_ms=settings.rate_per_ms, burst=settings.burst)
    return GroupLimits(rate=rate, jitter=min(settings.jitter, _MOST_JITTER))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """Keeps the lanes of ``outbound`` as the numbers' settings say.

    The database is the truth: what is set by hand in Redis holds until the number's settings are next looked at.
    ``delayed`` is called with the number and the reason when Redis is away; the next ``reconcile`` makes up for it.
    """

    outbound: Queue
    delayed: Callable[[str, str], None]

    async def apply(self, instance: Instance, settings: InstanceSettings) -> None:
        """Let new settings hold at once; a Redis that is away is no error, since the settings are stored."""
        try:
            await self._set(instance.id, settings)
        except Exception as error:
            if not is_unavailable(error):
                raise
            self.delayed(instance.id, str(error))

    async def reconcile(self, instances: Sequence[Instance]) -> int:
        """Compare every number's lane with its settings and return how many were changed."""
        return sum([await self._set(instance.id, instance.configuration) for instance in instances])

    async def _set(self, instance_id: str, settings: InstanceSettings) -> bool:
        groups, wanted = self.outbound.groups, limits_of(settings)
        changed = False
        if await groups.get(instance_id) != wanted:
            changed = True
            await (groups.clear(instance_id) if wanted is None else groups.set(instance_id, wanted))
        if await (groups.pause(instance_id) if settings.paused else groups.resume(instance_id)):
            changed = True
        return changed
