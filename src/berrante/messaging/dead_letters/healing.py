"""Which causes are gone, as rows tell it: a number that has sent since its last failure sends again."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select, true

from berrante.messaging.clock import milliseconds
from berrante.messaging.dead_letters.groups import Group
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import messages
from berrante.store import Database

_REMEDY: Final = "The number has sent again since: retry."


class Healing:
    """Looks at the numbers that groups blame."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def mark(self, groups: Sequence[Group], *, organization_id: UUID | None) -> None:
        """Say of each group whose number has sent since that it healed, and when the number sent last."""
        numbers = {group.cause.number for group in groups if group.cause.number is not None}
        if not numbers:
            return
        sent = await self._last_sent(numbers, organization_id)
        for group in groups:
            at = sent.get(group.cause.number or "")
            if at is not None and milliseconds(at) > group.last_at_ms:
                group.healed_at_ms, group.remedy = milliseconds(at), _REMEDY

    async def _last_sent(self, numbers: Collection[str], organization_id: UUID | None) -> Mapping[str, datetime]:
        latest = (
            select(messages.c.sent_at)
            .where(
                # As the index goes: the number's own messages, the newest first.
                messages.c.organization_id == instances.c.organization_id,
                messages.c.instance_id == instances.c.id,
                messages.c.direction == "out",
                messages.c.sent_at.is_not(None),
            )
            .order_by(messages.c.id.desc())
            .limit(1)
            .lateral()
        )
        query = select(instances.c.id, latest.c.sent_at).join(latest, true()).where(instances.c.id.in_(sorted(numbers)))
        transaction = (
            self._database.tenant(organization_id)
            if organization_id is not None
            else self._database.platform(because="an operator looks at the numbers of all organizations")
        )
        async with transaction as connection:
            return {str(number): at for number, at in await connection.execute(query)}
