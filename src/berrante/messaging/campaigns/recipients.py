"""Takes the next recipients of a number and writes to them, all within one transaction."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import Row, and_, bindparam, exists, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Gateway
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.content import RenderFailed
from berrante.messaging.campaigns.models import PENDING, campaign_recipients
from berrante.messaging.campaigns.pace import zone_of
from berrante.messaging.contacts.models import contacts
from berrante.messaging.contacts.store import remember_addressed
from berrante.messaging.messages.origin import Origin
from berrante.store import new_id

_PAGE: Final = 500
_PAGES: Final = 4

_STORE: Final = text("""
    INSERT INTO messages (
        id, organization_id, instance_id, contact_id, direction, origin, wire_id, status, content, priority,
        created_at, updated_at
    )
    SELECT given.id, CAST(:organization AS uuid), CAST(:instance_id AS text), given.contact_id, 'out', 'campaign',
           given.wire_id, 'queued', given.content, CAST(:priority AS smallint), CAST(:now AS timestamptz),
           CAST(:now AS timestamptz)
      FROM unnest(CAST(:ids AS uuid[]), CAST(:contact_ids AS uuid[]), CAST(:wire_ids AS text[]),
                  CAST(:contents AS jsonb[])) AS given (id, contact_id, wire_id, content)
""")
_MARK: Final = text("""
    UPDATE campaign_recipients r
       SET status = 'written', message_id = given.message_id, send_until = given.until
      FROM unnest(CAST(:positions AS bigint[]), CAST(:message_ids AS uuid[]), CAST(:untils AS timestamptz[]))
               AS given (position, message_id, until)
     WHERE r.campaign_id = CAST(:campaign AS uuid) AND r.position = given.position AND r.status = 'pending'
""")
_SKIP: Final = text("""
    UPDATE campaign_recipients r SET status = 'skipped', reason = given.reason
      FROM unnest(CAST(:positions AS bigint[]), CAST(:reasons AS text[])) AS given (position, reason)
     WHERE r.campaign_id = CAST(:campaign AS uuid) AND r.position = given.position AND r.status = 'pending'
""")

_r = campaign_recipients.c


@dataclass(kw_only=True, slots=True)
class Turn:
    """What one number's turn did: messages written, of which to strangers, and whether more recipients are due."""

    message_ids: list[UUID] = field(default_factory=list)
    strangers: int = 0
    more_due: bool = False


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
            elif (message_id := writer.write(row, until=min(span.until, until))) is not None:
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
    """Collects rows and writes them together, each table in one statement."""

    def __init__(
        self, connection: AsyncConnection, campaign: Campaign, gateway: Gateway, *, instance_id: str, now: datetime
    ) -> None:
        self._connection = connection
        self._campaign = campaign
        self._instance_id = instance_id
        self._wire_id: Callable[[UUID], str] = gateway.wire_id
        self._now = now
        self._written: list[_Written] = []
        self._skipped: list[tuple[int, str]] = []

    def write(self, row: Row[Any], *, until: datetime) -> UUID | None:
        campaign = self._campaign
        try:
            rendered = campaign.content.render(
                values_of(row.address, row.params), who=row.address, salt=str(campaign.id), variant=row.variant
            )
        except RenderFailed as error:
            self._skipped.append((row.position, f"{error.code}: {error}"[:300]))
            return None
        message_id = new_id()
        # One second less: the claim and the send take their time.
        until -= timedelta(seconds=1)
        self._written.append(_Written(row.position, message_id, row.address, row.contact_id, rendered.content, until))
        return message_id

    async def flush(self) -> None:
        written, self._written = self._written, []
        skipped, self._skipped = self._skipped, []
        if written:
            await self._store(written)
        if skipped:
            given = {
                "campaign": self._campaign.id,
                "positions": [position for position, _ in skipped],
                "reasons": [reason for _, reason in skipped],
            }
            await self._connection.execute(_SKIP, given)

    async def _store(self, written: Sequence["_Written"]) -> None:
        known = {each.address: each.contact_id for each in written if each.contact_id is not None}
        known |= await remember_addressed(
            self._connection,
            organization_id=self._campaign.organization_id,
            instance_id=self._instance_id,
            addresses=[each.address for each in written if each.contact_id is None],
            at=self._now,
        )
        messages = {
            "organization": self._campaign.organization_id,
            "instance_id": self._instance_id,
            "priority": int(Origin.CAMPAIGN.priority),
            "now": self._now,
            "ids": [each.message_id for each in written],
            "contact_ids": [known[each.address] for each in written],
            "wire_ids": [self._wire_id(each.message_id) for each in written],
            "contents": [msgspec.json.encode(each.content).decode() for each in written],
        }
        await self._connection.execute(_STORE, messages)
        recipients = {
            "campaign": self._campaign.id,
            "positions": [each.position for each in written],
            "message_ids": [each.message_id for each in written],
            "untils": [each.until for each in written],
        }
        await self._connection.execute(_MARK, recipients)


@dataclass(frozen=True, slots=True)
class _Written:
    position: int
    message_id: UUID
    address: str
    contact_id: UUID | None
    content: Mapping[str, Any]
    until: datetime
