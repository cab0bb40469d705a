"""What sending found out that others may act on: whoever listens is told after it is stored."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import UUID

from berrante.messaging.outbound.policy.holding import Hold


@dataclass(frozen=True, kw_only=True, slots=True)
class RateChanged:
    """A number has to go at this rate; None: at its own again."""

    organization_id: UUID
    instance_id: str
    per_s: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Something of a number must not be sent for some time, or until somebody acts."""

    organization_id: UUID
    instance_id: str
    hold: Hold


@dataclass(frozen=True, kw_only=True, slots=True)
class Suppressed:
    """A contact told WhatsApp that it wants no marketing of this business (131050)."""

    organization_id: UUID
    instance_id: str
    contact_id: UUID
    code: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Released:
    """Holds of a number were ended: what waited behind them may go."""

    organization_id: UUID
    instance_id: str


Signal = RateChanged | Held | Suppressed | Released
#: Called after each signal is stored; a process that is killed in between has not told, but the tables have it.
Listener = Callable[[Signal], Awaitable[None]]


async def deaf(_: Signal) -> None:
    """Listen to nothing."""
