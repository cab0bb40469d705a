"""Which causes are gone, as rows tell it: a number that sends again, a template that WhatsApp approved again."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.cloud_numbers.meaning import RESUMED, TEMPLATE_UPDATE
from berrante.messaging.cloud_numbers.models import number_updates
from berrante.messaging.dead_letters.groups import Group
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.models import messages
from berrante.messaging.outbound.models import sending_holds
from berrante.store import Database

_NUMBER: Final = "The number has sent again since: retry."
_TEMPLATE: Final = "WhatsApp approved the template again since: retry."


class Healing:
    """Looks at the numbers and the templates that groups blame."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def mark(self, groups: Sequence[Group], *, organization_id: UUID | None) -> None:
        """Say of each group whose number or template is back that it healed, and since when."""
        numbers = {group.cause.number for group in groups if group.cause.number is not None}
        templates = {group.cause.template for group in groups if group.cause.template is not None}
        if not numbers and not templates:
            return
        async with self._transaction(organization_id) as connection:
            sent = await _last_sent(connection, numbers) if numbers else {}
            approved = await _approved(connection, templates, now=moment(self._clock())) if templates else {}
        for group in groups:
            _heal(group, sent.get(group.cause.number or ""), _NUMBER)
            _heal(group, approved.get(group.cause.template or ""), _TEMPLATE)

    def _transaction(self, organization_id: UUID | None) -> AbstractAsyncContextManager[AsyncConnection]:
        if organization_id is not None:
            return self._database.tenant(organization_id)
        return self._database.platform(because="an operator looks at the numbers of all organizations")


def _heal(group: Group, at: datetime | None, remedy: str) -> None:
    if at is not None and milliseconds(at) > group.last_at_ms:
        group.healed_at_ms, group.remedy = milliseconds(at), remedy


async def _last_sent(connection: AsyncConnection, numbers: Collection[str]) -> Mapping[str, datetime]:
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
    return {str(number): at for number, at in await connection.execute(query)}


async def _approved(
    connection: AsyncConnection, templates: Collection[str], *, now: datetime
) -> Mapping[str, datetime]:
    """Return since when each template is approved; one of which a language is not, or is held, is left out.

    A letter names a template with or without its language. Without, whichever language failed is not known: the last
    word on every one of them has to be good.
    """
    name, language = (number_updates.c.details[f"message_template_{part}"].astext for part in ("name", "language"))
    whole = func.concat(name, "/", language)
    query = select(
        name.label("name"),
        language.label("language"),
        func.upper(number_updates.c.details["event"].astext).label("event"),
        number_updates.c.at,
    ).where(
        number_updates.c.kind == TEMPLATE_UPDATE,
        or_(name.in_(sorted(templates)), whole.in_(sorted(templates))),
    )
    words = (await connection.execute(query)).all()
    ill = await _held(connection, templates, now=now)
    found: dict[str, datetime] = {}
    for word in words:
        for called in (word.name, f"{word.name}/{word.language}"):
            found[called] = max(word.at, found.get(called, word.at))
            if word.event not in RESUMED:
                ill.add(called)
    return {called: at for called, at in found.items() if called not in ill}


async def _held(connection: AsyncConnection, templates: Collection[str], *, now: datetime) -> set[str]:
    whole = func.split_part(sending_holds.c.what, ":", 2)
    name = func.split_part(whole, "/", 1)
    query = select(whole, name).where(
        sending_holds.c.what.startswith("template:"),
        or_(name.in_(sorted(templates)), whole.in_(sorted(templates))),
        or_(sending_holds.c.until.is_(None), sending_holds.c.until > now),
    )
    return {called for row in await connection.execute(query) for called in row}
