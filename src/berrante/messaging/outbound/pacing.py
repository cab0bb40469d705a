"""A number's pace: from its settings in the database, and what WhatsApp said of it, to its lane's limits in Redis."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from berrante.engine import GroupLimits, GroupRate, Override, Queue
from berrante.engine.connection import is_unavailable
from berrante.messaging.instances import Instance
from berrante.messaging.instances.settings import InstanceSettings

_MOST_JITTER: Final = 0.99
#: Rates of WhatsApp's are kept to a thousandth of a message a second.
_THOUSAND_S_IN_MS: Final = 1_000_000


def limits_of(
    settings: InstanceSettings, *, slowed_to: float | None = None, default: GroupRate | None = None
) -> GroupLimits | None:
    """Return the limits of a number's lane; None if the workers' own hold for it, whose rate is ``default``.

    ``slowed_to`` is the most messages a second that WhatsApp bears; the number's own rate holds if that is slower.

    >>> limits_of(InstanceSettings(rate_max=1, rate_per_ms=30_000, jitter=0.2)).rate.gap_ms
    30000.0
    >>> limits_of(InstanceSettings(), slowed_to=40.0).rate.gap_ms
    25.0
    """
    own, rate = None, default
    if settings.rate_max is not None:
        own = rate = GroupRate(max=settings.rate_max, duration_ms=settings.rate_per_ms, burst=settings.burst)
    if slowed_to is not None:
        slow = GroupRate(max=max(1, round(slowed_to * 1_000)), duration_ms=_THOUSAND_S_IN_MS)
        if rate is None or slow.gap_ms > rate.gap_ms:
            own = slow
    return GroupLimits(rate=own, jitter=min(settings.jitter, _MOST_JITTER)) if own is not None else None


async def nobody() -> Mapping[str, float]:
    """Return that no number was slowed."""
    return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pacing:
    """Keeps the lanes of ``outbound`` as the numbers' settings say, and slower where WhatsApp refused.

    The database is the truth: what is set by hand in Redis holds until the number's settings are next looked at.
    ``delayed`` is called with the number and the reason when Redis is away; the next ``reconcile`` makes up for it.
    ``slowed`` returns the rates of the numbers that were slowed, ``default`` is the rate of lanes without one.
    """

    outbound: Queue
    delayed: Callable[[str, str], None]
    slowed: Callable[[], Awaitable[Mapping[str, float]]] = nobody
    default: GroupRate | None = None

    async def apply(self, instance: Instance, settings: InstanceSettings) -> None:
        """Let new settings or a new rate hold at once; a Redis that is away is no error, since they are stored."""
        slowed = await self.slowed()
        try:
            await self._set(instance.id, settings, slowed.get(instance.id))
        except Exception as error:
            if not is_unavailable(error):
                raise
            self.delayed(instance.id, str(error))

    async def reconcile(self, instances: Sequence[Instance]) -> int:
        """Compare every number's lane with its settings, and mend and count those that differ."""
        stand, slowed = await self.outbound.groups.overrides(), await self.slowed()
        changed = 0
        for instance in instances:
            settings, slowed_to = instance.configuration, slowed.get(instance.id)
            limits = limits_of(settings, slowed_to=slowed_to, default=self.default)
            if stand.get(instance.id, Override()) != Override(limits=limits, paused=settings.paused):
                await self._set(instance.id, settings, slowed_to)
                changed += 1
        return changed

    async def _set(self, instance_id: str, settings: InstanceSettings, slowed_to: float | None) -> None:
        groups, limits = self.outbound.groups, limits_of(settings, slowed_to=slowed_to, default=self.default)
        await (groups.clear(instance_id) if limits is None else groups.set(instance_id, limits))
        await (groups.pause(instance_id) if settings.paused else groups.resume(instance_id))
