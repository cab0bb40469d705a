"""Automations: what answers a contact without a person."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import insert, select, update

from berrante.messaging.automations.matching import words
from berrante.messaging.automations.models import automations
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.fields import named, storable, text_body
from berrante.messaging.instances.service import Instances
from berrante.store import Database, new_id

_TRIGGERS: Final = ("keyword", "any", "campaign")
_LONGEST_DELAY_MS: Final = 7 * 24 * 3_600_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Automation:
    """A reply that waits for its trigger; without ``instance_id`` it holds for all of the organization's numbers."""

    id: UUID
    organization_id: UUID
    instance_id: str | None
    name: str
    trigger: str
    keywords: Sequence[str]
    reply: str
    delay_ms: int
    enabled: bool
    created_at: datetime


class Automations:
    """Makes, lists and switches automations."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        *,
        organization_id: UUID,
        name: str,
        reply: str,
        trigger: str = "keyword",
        keywords: Sequence[str] = (),
        instance_id: str | None = None,
        delay_ms: int = 0,
        enabled: bool = True,
    ) -> Automation:
        """Make an automation.

        Keywords match whole words whatever case and accents; trigger ``any`` answers every message and takes none, and
        ``campaign`` answers what answers a campaign that names it, and nothing else.
        Raises ``Invalid``, or ``Missing`` for an instance that is not the organization's.
        """
        if trigger not in _TRIGGERS:
            raise Invalid("trigger", f"is {trigger[:40]!r}", remedy=f"give one of {', '.join(_TRIGGERS)}")
        if not 0 <= delay_ms <= _LONGEST_DELAY_MS:
            raise Invalid("delay_ms", f"is {delay_ms}", remedy="give milliseconds, 0 to a week")
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "instance_id": instance_id,
            "name": named(name),
            "trigger": trigger,
            "keywords": _keywords(keywords, trigger),
            "reply": text_body(reply, field="reply"),
            "delay_ms": delay_ms,
            "enabled": enabled,
        }
        if instance_id is not None and await Instances(self._database).find(organization_id, instance_id) is None:
            raise Missing("instance", instance_id)
        async with self._database.tenant(organization_id) as connection:
            made = await connection.execute(insert(automations).values(row).returning(automations))
            return Automation(**made.one()._mapping)

    async def enable(self, organization_id: UUID, automation_id: UUID, *, enabled: bool) -> None:
        """Switch an automation on or off; a reply that is due later is not sent once it is off. Raises ``Missing``."""
        statement = (
            update(automations)
            .where(automations.c.organization_id == organization_id, automations.c.id == automation_id)
            .values(enabled=enabled)
        )
        async with self._database.tenant(organization_id) as connection:
            if (await connection.execute(statement)).rowcount == 0:
                raise Missing("automation", automation_id)

    async def list(self, organization_id: UUID) -> list[Automation]:
        """Return an organization's automations, the oldest first."""
        query = select(automations).where(automations.c.organization_id == organization_id).order_by(automations.c.id)
        async with self._database.tenant(organization_id) as connection:
            return [Automation(**row._mapping) for row in await connection.execute(query)]


def _keywords(keywords: Sequence[str], trigger: str) -> list[str]:
    if isinstance(keywords, str):
        raise Invalid("keywords", "is one text", remedy="give a list of words")
    if trigger != "keyword":
        if keywords:
            problem = f"are given to trigger {trigger!r}"
            raise Invalid("keywords", problem, remedy="leave them out, or use trigger 'keyword'")
        return []
    if not keywords or len(keywords) > 100:
        raise Invalid("keywords", f"has {len(keywords)} entries", remedy="give 1 to 100 words")
    for keyword in keywords:
        if not words(keyword) or len(keyword) > 100 or storable(keyword) != keyword:
            raise Invalid("keywords", f"has {keyword[:40]!r}", remedy="give words of letters or digits")
    return list(keywords)
