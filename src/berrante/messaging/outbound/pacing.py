"""A number's pace: from its settings in the database to the limits of its lane in Redis."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from berrante.engine import GroupLimits, GroupRate, Override, Queue
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
        """Compare every number's lane with its settings, and mend and count those that differ."""
        stand = await self.outbound.groups.overrides()
        changed = 0
        for instance in instances:
            settings = instance.configuration
            wanted = Override(limits=limits_of(settings), paused=settings.paused)
            if stand.get(instance.id, Override()) != wanted:
                await self._set(instance.id, settings)
                changed += 1
        return changed

    async def _set(self, instance_id: str, settings: InstanceSettings) -> None:
        groups, limits = self.outbound.groups, limits_of(settings)
        await (groups.clear(instance_id) if limits is None else groups.set(instance_id, limits))
        await (groups.pause(instance_id) if settings.paused else groups.resume(instance_id))
