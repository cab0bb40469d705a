"""What follows from what sending found out, beside the message itself: paces, contacts, log lines."""

from berrante.messaging.clock import moment
from berrante.messaging.instances import Instances
from berrante.messaging.outbound.pacing import Pacing
from berrante.messaging.outbound.signals import Held, RateChanged, Released, Signal, Suppressed
from berrante.messaging.outbound.waking import Waker
from berrante.telemetry import events


class Signals:
    """Listens to what sending finds out. Told twice, it does the same again.

    A rate that was not told because the process was killed takes effect with the next ``Pacing.reconcile``.
    """

    def __init__(self, instances: Instances, pacing: Pacing, waker: Waker) -> None:
        self._instances = instances
        self._pacing = pacing
        self._waker = waker

    async def __call__(self, signal: Signal) -> None:
        """Do what the signal asks for."""
        of = {"organization_id": str(signal.organization_id), "instance_id": signal.instance_id}
        match signal:
            case RateChanged(per_s=per_s):
                events.RATE_CHANGED(**of, per_s=per_s)
                # The rate itself is read from the database: of two signals at once, the later one may come first.
                instance = await self._instances.find(signal.organization_id, signal.instance_id)
                if instance is not None:
                    await self._pacing.apply(instance, instance.configuration)
            case Suppressed(contact_id=contact_id, code=code, reason=reason):
                events.CONTACT_SUPPRESSED(**of, contact_id=str(contact_id), code=code, reason=reason)
            case Held(hold=hold):
                until = None if hold.until_ms is None else moment(hold.until_ms).isoformat()
                events.NUMBER_HELD(**of, what=hold.what, code=hold.code, reason=hold.reason, until=until)
            case Released():
                await self._waker.wake(signal.organization_id, [signal.instance_id])
