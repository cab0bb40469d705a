"""What a number's own settings say of campaigns: its quiet hours and its warm-up, whatever a campaign says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.settings import InstanceSettings, WarmUp

_LONG: Final = timedelta(days=15)


@dataclass(frozen=True, kw_only=True, slots=True)
class NumberHours:
    """Whether campaigns may write by a number now, and until when that holds."""

    allowed: bool
    until: datetime
    warm_up: WarmUp | None = None

    def tightened(self, policy: Policy, day: date) -> Policy:
        """Return the policy with no more a day than a number that is new may write."""
        most = self.warm_up.most_on(day) if self.warm_up is not None else None
        if most is None or (policy.daily is not None and policy.daily <= most):
            return policy
        return policy.model_copy(update={"daily": most})


async def number_hours(connection: AsyncConnection, numbers: Sequence[str], *, now: datetime) -> dict[str, NumberHours]:
    """Return what holds for each number."""
    query = select(instances.c.id, instances.c.settings).where(instances.c.id.in_(numbers))
    found: dict[str, NumberHours] = {}
    for row in await connection.execute(query):
        settings = InstanceSettings.of(row.settings)
        quiet = settings.quiet_hours
        is_quiet, until = quiet.span(now) if quiet is not None else (False, now + _LONG)
        found[row.id] = NumberHours(allowed=not is_quiet, until=until, warm_up=settings.warm_up)
    return found
