"""What receipts do to the messages that they speak of, many at once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import ReceiptStatus
from berrante.messaging.clock import moment
from berrante.messaging.contacts.consent import STOPPED_CODE, suppress
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.endpoints.messages import changed
from berrante.messaging.fields import storable
from berrante.messaging.messages.jobs import ReceiptPayload, checked_id
from berrante.messaging.messages.models import message_prices, messages
from berrante.messaging.messages.status import MessageStatus, from_receipt, later
from berrante.messaging.payloads import checked, point_in_time

_TIMES: Final = {
    ReceiptStatus.SENT: "sent_at",
    ReceiptStatus.DELIVERED: "delivered_at",
    ReceiptStatus.READ: "read_at",
}

# By the wire id or the provider id, within the number. A wire id that WhatsApp told beside its own goes first: it finds
# a message whose provider id we never learned.
_FIND: Final = text("""
    SELECT given.place, found.id
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (place int, instance_id text, about text, wire_id text)
     CROSS JOIN LATERAL (
            SELECT m.id FROM messages m
             WHERE m.organization_id = CAST(:organization AS uuid) AND m.instance_id = given.instance_id
               AND m.direction = 'out' AND (m.wire_id IN (given.wire_id, given.about) OR m.provider_id = given.about)
             ORDER BY m.wire_id = coalesce(given.wire_id, given.about) DESC, m.wire_id = given.about DESC
             LIMIT 1) AS found
""")

_CHANGE: Final = text("""
    UPDATE messages m
       SET status = given.status, updated_at = CAST(:now AS timestamptz),
           sent_at = coalesce(m.sent_at, given.sent_at),
           delivered_at = coalesce(m.delivered_at, given.delivered_at),
           read_at = coalesce(m.read_at, given.read_at),
           provider_id = coalesce(m.provider_id, given.provider_id),
           failure_code = CASE WHEN given.explained THEN given.code ELSE m.failure_code END,
           failure_reason = CASE WHEN given.explained THEN given.reason ELSE m.failure_reason END
      FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS given (
               id uuid, status text, sent_at timestamptz, delivered_at timestamptz, read_at timestamptz,
               provider_id text, explained boolean, code text, reason text)
     WHERE m.organization_id = CAST(:organization AS uuid) AND m.id = given.id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A receipt, checked; ``about`` is a wire id or a provider id, and ``wire_id`` what WhatsApp told beside it."""

    organization_id: UUID
    instance_id: str
    about: str
    status: ReceiptStatus
    at: datetime
    code: str | None
    reason: str | None
    wire_id: str | None = None
    pricing: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Applied:
    """The message that a receipt spoke of, the status that holds, and what is to be told; ``is_news`` if it changed."""

    message_id: UUID
    contact_id: UUID
    content: Mapping[str, Any]
    holds: MessageStatus
    trace_context: str | None = None
    happenings: Sequence[Happening] = ()

    @property
    def is_news(self) -> bool:
        """Tell whether the receipt changed the status."""
        return bool(self.happenings)

    @property
    def outcome(self) -> dict[str, object]:
        """What stands on the job."""
        return {"status": self.holds.value}


@dataclass(kw_only=True, slots=True)
class _Message:
    """An outgoing message that receipts speak of, and what they change."""

    id: UUID
    wire_id: str
    contact_id: UUID
    content: Mapping[str, Any]
    status: MessageStatus
    trace_context: str | None
    changes: dict[str, Any] = field(default_factory=dict)

    def hear(self, receipt: Told) -> Applied:
        before, self.status = self.status, later(self.status, from_receipt(receipt.status))
        self.changes["status"] = self.status.value
        if (column := _TIMES.get(receipt.status)) is not None:
            self.changes.setdefault(column, receipt.at)
        if receipt.about != self.wire_id:
            # The answer that would have told it may be lost, or still on its way.
            self.changes.setdefault("provider_id", receipt.about)
        applied = Applied(
            message_id=self.id,
            contact_id=self.contact_id,
            content=self.content,
            holds=self.status,
            trace_context=self.trace_context,
        )
        if self.status is before:
            return applied
        if self.status is MessageStatus.FAILED:
            self.changes |= {"explained": True, "code": receipt.code, "reason": receipt.reason}
        elif before is MessageStatus.IN_DOUBT:
            self.changes |= {"explained": True, "code": None, "reason": None}  # there is no doubt any more
        news = changed(
            organization_id=receipt.organization_id,
            instance_id=receipt.instance_id,
            message_id=self.id,
            wire_id=self.wire_id,
            status=self.status.value,
            at=receipt.at,
            code=receipt.code,
            reason=receipt.reason,
        )
        return replace(applied, happenings=[news])


def receipt(payload: ReceiptPayload) -> Told:
    """Return the receipt of a job; raises ``Unrecoverable`` that names the field which is wrong."""
    return Told(
        organization_id=payload.organization_id,
        instance_id=payload.instance_id,
        about=checked(lambda: checked_id(payload.message_id)),
        status=payload.status,
        at=moment(checked(lambda: point_in_time(payload.at, field="at"))),
        code=None if payload.error_code is None else storable(str(payload.error_code))[:200],
        reason=storable(payload.error) if payload.error else None,
        wire_id=None if payload.wire_id is None else checked(lambda: checked_id(str(payload.wire_id))),
        pricing=payload.pricing,
    )


async def apply(
    connection: AsyncConnection, organization_id: UUID, given: Sequence[Told], *, now: datetime
) -> list[Applied | None]:
    """Raise statuses where receipts of one organization rank higher; answers what holds, None where no message is.

    Receipts may come twice and in any order.
    """
    if not given:
        return []
    places = [
        {"place": place, "instance_id": receipt.instance_id, "about": receipt.about, "wire_id": receipt.wire_id}
        for place, receipt in enumerate(given)
    ]
    found = await connection.execute(_FIND, {"organization": organization_id, "rows": _json(places)})
    ids = {row.place: row.id for row in found}
    spoken_of = await _locked(connection, organization_id, list(ids.values()))
    applied = [
        spoken_of[ids[place]].hear(receipt) if ids.get(place) in spoken_of else None
        for place, receipt in enumerate(given)
    ]
    rows = [{"id": message.id, "explained": False, **message.changes} for message in spoken_of.values()]
    if rows:
        await connection.execute(_CHANGE, {"organization": organization_id, "now": now, "rows": _json(rows)})
    for place, (receipt, each) in enumerate(zip(given, applied, strict=True)):
        # Only the first time that it is told: the contact may have resumed them since.
        if each is not None and each.is_news and each.holds is MessageStatus.FAILED and receipt.code == STOPPED_CODE:
            left = await suppress(
                connection,
                organization_id=organization_id,
                contact_id=each.contact_id,
                code=receipt.code,
                reason=receipt.reason or "the contact stopped marketing messages",
                at=receipt.at,
            )
            applied[place] = replace(each, happenings=[*each.happenings, *left])
    await _price(connection, organization_id, zip(given, applied, strict=True))
    return applied


async def _price(
    connection: AsyncConnection, organization_id: UUID, told: Iterable[tuple[Told, Applied | None]]
) -> None:
    """Keep what WhatsApp says that messages cost; of several statuses, the last holds."""
    rows = {
        applied.message_id: _priced(receipt.pricing, organization_id, applied.message_id)
        for receipt, applied in told
        if applied is not None and receipt.pricing
    }
    if not rows:
        return
    new = insert(message_prices).values([rows[message_id] for message_id in sorted(rows)])
    changed = {name: new.excluded[name] for name in ("billable", "model", "category", "type")}
    await connection.execute(new.on_conflict_do_update(index_elements=["message_id"], set_=changed))


def _priced(pricing: Mapping[str, Any], organization_id: UUID, message_id: UUID) -> dict[str, Any]:
    told = {
        name: storable(value)[:60]
        for name in ("pricing_model", "category", "type")
        if isinstance(value := pricing.get(name), str)
    }
    billable = pricing.get("billable")
    return {
        "message_id": message_id,
        "organization_id": organization_id,
        "billable": billable if isinstance(billable, bool) else None,
        "model": told.get("pricing_model"),
        "category": told.get("category"),
        "type": told.get("type"),
    }


async def _locked(connection: AsyncConnection, organization_id: UUID, ids: Sequence[UUID]) -> dict[UUID, _Message]:
    if not ids:
        return {}
    query = (
        select(
            messages.c.id,
            messages.c.wire_id,
            messages.c.contact_id,
            messages.c.content,
            messages.c.status,
            messages.c.trace_context,
        )
        .where(messages.c.organization_id == organization_id, messages.c.id.in_(ids))
        .order_by(messages.c.id)
        .with_for_update(key_share=True)
    )
    rows = (await connection.execute(query)).all()
    return {row.id: _Message(**{**row._mapping, "status": MessageStatus(row.status)}) for row in rows}


def _json(rows: list[dict[str, Any]]) -> str:
    return msgspec.json.encode(rows).decode()
