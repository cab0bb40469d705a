"""Takes the next recipients of a number and writes to them, all within one transaction."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, and_, bindparam, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Gateway
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.content import RenderFailed
from berrante.messaging.campaigns.models import PENDING, campaign_recipients
from berrante.messaging.campaigns.pace import zone_of
from berrante.messaging.contacts.models import contacts
from berrante.messaging.contacts.store import remember
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.status import MessageStatus
from berrante.store import new_id

_PAGE: Final = 500
_PAGES: Final = 4

_r = campaign_recipients.c


@dataclass(kw_only=True, slots=True)
class Turn:
    """What one number's turn did: messages written, of which to strangers, and whether more recipients are due.

    ``done`` are those who are pending no more, by zone and whether they are strangers.
    """

    message_ids: list[UUID] = field(default_factory=list)
    strangers: int = 0
    more_due: bool = False
    done: Counter[tuple[str, bool]] = field(default_factory=Counter)


async def write_next(
    connection: AsyncConnection,
    campaign: Campaign,
    gateway: Gateway,
    *,
    instance_id: str,
    count: int,
    strangers: int | None,
    now: datetime,
    next_day: datetime,
    until: datetime,
) -> Turn:
    """Write to up to ``count`` recipients of a number, of whom up to ``strangers`` never wrote to it.

    Who may not be written to now is put off until it may; who cannot be (a field is missing) is skipped, with the
    reason. ``until`` is when the number itself may write no more. The caller holds the campaign's lock.
    """
    writer = _Writer(connection, campaign, gateway, instance_id=instance_id, now=now)
    turn = Turn()
    for _ in range(_PAGES):
        rows = await _due(connection, campaign.id, instance_id, now)
        deferred: list[dict[str, Any]] = []
        for row in rows:
            if len(turn.message_ids) == count:
                turn.more_due = True
                break
            zone = zone_of(row.address, given=_zone(campaign, row.params), otherwise=campaign.pace.own_zone)
            span = campaign.pace.calendar.span(now, zone)
            if not span.allowed:
                deferred.append({"p": row.position, "at": span.until})
            elif row.stranger and strangers is not None and turn.strangers >= strangers:
                deferred.append({"p": row.position, "at": next_day})
            else:
                turn.done[zone.key, row.stranger] += 1
                if (message_id := await writer.write(row, until=min(span.until, until))) is not None:
                    turn.message_ids.append(message_id)
                    turn.strangers += row.stranger
        await writer.flush()
        await _defer(connection, campaign.id, deferred)
        turn.more_due = turn.more_due or len(rows) == _PAGE
        if len(turn.message_ids) == count or len(rows) < _PAGE:
            return turn
    return turn


async def next_due(connection: AsyncConnection, campaign_id: UUID, instance_id: str) -> datetime | None:
    """Return when the number's next recipient may be written to; None if none is left."""
    query = (
        select(_r.not_before)
        .where(_r.campaign_id == campaign_id, _r.instance_id == instance_id, _r.status == PENDING)
        .order_by(_r.not_before)
        .limit(1)
    )
    at: datetime | None = (await connection.execute(query)).scalar_one_or_none()
    return at


async def has_pending(connection: AsyncConnection, campaign_id: UUID) -> bool:
    """Tell whether anybody is left to be written to."""
    query = select(exists().where(_r.campaign_id == campaign_id, _r.status == PENDING))
    return bool((await connection.execute(query)).scalar_one())


async def _due(connection: AsyncConnection, campaign_id: UUID, instance_id: str, now: datetime) -> Sequence[Any]:
    known = and_(contacts.c.instance_id == _r.instance_id, contacts.c.address == _r.address)
    query = (
        select(_r.position, _r.address, _r.variant, _r.params, _r.stranger, contacts.c.id.label("contact_id"))
        .select_from(campaign_recipients.outerjoin(contacts, known))
        .where(
            _r.campaign_id == campaign_id,
            _r.instance_id == instance_id,
            _r.status == PENDING,
            _r.not_before <= now,
        )
        .order_by(_r.not_before, _r.position)
        .limit(_PAGE)
    )
    return (await connection.execute(query)).all()


async def _defer(connection: AsyncConnection, campaign_id: UUID, deferred: list[dict[str, Any]]) -> None:
    if deferred:
        statement = update(campaign_recipients).where(_r.campaign_id == campaign_id, _r.position == bindparam("p"))
        await connection.execute(statement.values(not_before=bindparam("at")), deferred)


def values_of(address: str, params: Mapping[str, Any]) -> dict[str, object]:
    """Return what a template may name, of a recipient's frozen parameters; what is unknown is left out.

    >>> values_of("+1", {"name": "Ana Maria", "fields": {}})["first_name"]
    'Ana'
    """
    given = {name: params.get(name) for name in ("name", "language")}
    values: dict[str, object] = {name: value for name, value in given.items() if value is not None}
    if given["name"] and (words := given["name"].split()):
        values["first_name"] = words[0]
    return values | {
        "phone": address,
        "tags": params.get("tags") or [],
        "fields": params.get("fields") or {},
        "params": params.get("params") or {},
    }


def _zone(campaign: Campaign, params: Mapping[str, Any]) -> object:
    field_ = campaign.pace.zone_field
    return (params.get("fields") or {}).get(field_) if field_ else None


class _Writer:
    """Collects rows and writes them together."""

    def __init__(
        self, connection: AsyncConnection, campaign: Campaign, gateway: Gateway, *, instance_id: str, now: datetime
    ) -> None:
        self._connection = connection
        self._campaign = campaign
        self._instance_id = instance_id
        self._wire_id: Callable[[UUID], str] = gateway.wire_id
        self._now = now
        self._messages: list[dict[str, Any]] = []
        self._written: list[dict[str, Any]] = []
        self._skipped: list[dict[str, Any]] = []

    async def write(self, row: Row[Any], *, until: datetime) -> UUID | None:
        campaign = self._campaign
        try:
            rendered = campaign.content.render(
                values_of(row.address, row.params), who=row.address, salt=str(campaign.id), variant=row.variant
            )
        except RenderFailed as error:
            self._skipped.append({"p": row.position, "why": f"{error.code}: {error}"[:300]})
            return None
        contact_id = row.contact_id or await remember(
            self._connection,
            organization_id=campaign.organization_id,
            instance_id=self._instance_id,
            address=row.address,
            at=self._now,
        )
        message_id = new_id()
        self._messages.append(
            {
                "id": message_id,
                "organization_id": campaign.organization_id,
                "instance_id": self._instance_id,
                "contact_id": contact_id,
                "direction": "out",
                "origin": Origin.CAMPAIGN.value,
                "wire_id": self._wire_id(message_id),
                "status": MessageStatus.QUEUED.value,
                "content": rendered.content,
                "priority": int(Origin.CAMPAIGN.priority),
                "created_at": self._now,
                "updated_at": self._now,
            }
        )
        # One second less: the claim and the send take their time.
        self._written.append({"p": row.position, "m": message_id, "u": until - timedelta(seconds=1)})
        return message_id

    async def flush(self) -> None:
        mine = update(campaign_recipients).where(
            _r.campaign_id == self._campaign.id, _r.position == bindparam("p"), _r.status == PENDING
        )
        if self._messages:
            await self._connection.execute(insert(messages), self._messages)
            values = {"status": "written", "message_id": bindparam("m"), "send_until": bindparam("u")}
            await self._connection.execute(mine.values(values), self._written)
        if self._skipped:
            await self._connection.execute(mine.values(status="skipped", reason=bindparam("why")), self._skipped)
        self._messages, self._written, self._skipped = [], [], []
