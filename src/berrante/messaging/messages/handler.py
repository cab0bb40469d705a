"""The queue ``message``: stores what came in, starts automations, and follows receipts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, NewJob, Unrecoverable
from berrante.gateways.protocol import Gateway
from berrante.messaging.addresses import as_written, canonical
from berrante.messaging.automations import runs
from berrante.messaging.automations.jobs import step_job
from berrante.messaging.automations.runs import OpenRun
from berrante.messaging.campaigns.replies import hear
from berrante.messaging.clock import Clock, milliseconds, moment
from berrante.messaging.cloud_numbers import updates
from berrante.messaging.contacts.store import remember
from berrante.messaging.endpoints.emitting import Told, enqueue
from berrante.messaging.endpoints.messages import became, received
from berrante.messaging.errors import Invalid, ReceiptTooEarly
from berrante.messaging.fields import storable
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.messages import late_refusals, receipts
from berrante.messaging.messages.content import normalized, text_of
from berrante.messaging.messages.jobs import (
    INCOMING,
    MEDIA,
    RECEIPT,
    UPDATE,
    IncomingPayload,
    MediaPayload,
    ReceiptPayload,
    UpdatePayload,
    media_job,
)
from berrante.messaging.messages.media import MediaFetcher, to_fetch
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.origin import Origin
from berrante.messaging.messages.receipts import Applied
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.jobs import send_job
from berrante.messaging.outbound.signals import Listener, deaf
from berrante.messaging.outbound.writing import gateway_named, write
from berrante.messaging.payloads import checked, point_in_time, read
from berrante.messaging.queues import Queues
from berrante.store import Database, new_id

_LONGEST_ID: Final = 512


class MessageHandler:
    """Handles ``incoming``, ``receipt``, ``update`` and ``media``; each may be delivered any number of times."""

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        clock: Clock,
        gateways: Mapping[str, Gateway],
        listener: Listener = deaf,
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._listener = listener
        self._media = MediaFetcher(database, gateways)

    async def __call__(self, job: Job) -> object:
        """Handle one job; raises ``Unrecoverable`` for one that can never be handled."""
        match job.name:
            case name if name == INCOMING:
                return await self._incoming(read(job, IncomingPayload))
            case name if name == RECEIPT:
                return await self._receipt(read(job, ReceiptPayload))
            case name if name == UPDATE:
                return await self._update(read(job, UpdatePayload))
            case name if name == MEDIA:
                return await self._media(read(job, MediaPayload))
            case name:
                raise Unrecoverable(f"queue 'message' has no jobs named {name!r}: use 'incoming' or 'receipt'")

    async def _incoming(self, payload: IncomingPayload) -> object:
        wire_id = checked(lambda: _id(payload.message_id))
        sender = checked(lambda: canonical(payload.sender, field="from"))
        sent_ms = checked(lambda: point_in_time(payload.sent_at, field="sentAt"))
        content = checked(lambda: normalized(payload.content))
        now = moment(self._clock())
        name = storable(payload.from_name)[:200] if payload.from_name else None
        told: list[Told] = []
        async with self._database.begin() as connection:
            gateway = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            contact_id = await remember(
                connection,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                address=sender,
                name=name,
                at=now,
                wrote_at=moment(sent_ms),
                written=as_written(payload.sender),
            )
            row = {
                "id": new_id(),
                "organization_id": payload.organization_id,
                "instance_id": payload.instance_id,
                "contact_id": contact_id,
                "direction": "in",
                "origin": Origin.CONTACT.value,
                "wire_id": wire_id,
                "status": MessageStatus.RECEIVED.value,
                "content": content,
                "priority": Origin.CONTACT.priority,
                "created_at": now,
                "sent_at": moment(sent_ms),
                "updated_at": now,
            }
            statement = insert(messages).values(row)
            statement = statement.on_conflict_do_nothing(index_elements=["instance_id", "wire_id"])
            message_id = (await connection.execute(statement.returning(messages.c.id))).scalar_one_or_none()
            is_new = message_id is not None
            opened: list[OpenRun] = []
            answer: UUID | None = None
            if message_id is not None:
                # In the message's own transaction: a message that is there has had its runs opened, once.
                # An opt-out word is heeded with the message: no claim after it writes to the contact.
                heard = await hear(
                    connection,
                    organization_id=payload.organization_id,
                    contact_id=contact_id,
                    address=sender,
                    text=text_of(content),
                    at=moment(sent_ms),
                )
                # What was said in a group was not said to us: an automation would answer each of its members alone.
                if "group" not in content:
                    if heard.reply is not None:
                        answer = await write(
                            connection,
                            gateway_named(self._gateways, gateway),
                            organization_id=payload.organization_id,
                            instance_id=payload.instance_id,
                            contact_id=contact_id,
                            origin=Origin.AUTOMATION,
                            text=heard.reply,
                            at=now,
                        )
                    opened = await runs.start(
                        connection,
                        organization_id=payload.organization_id,
                        instance_id=payload.instance_id,
                        message_id=message_id,
                        content=content,
                        at=now,
                    )
                told = await received(
                    connection,
                    organization_id=payload.organization_id,
                    instance_id=payload.instance_id,
                    contact_id=contact_id,
                    message_id=message_id,
                    wire_id=wire_id,
                    sender=sender,
                    sender_name=name,
                    content=content,
                    sent_at=moment(sent_ms),
                )
            else:
                message_id, direction = await _existing(connection, payload.instance_id, wire_id)
                if direction == "out":  # our own message, told to us by another device of the number
                    return {"status": "echo", "messageId": str(message_id)}
                opened = await runs.still_open(connection, message_id)
        await self._enqueue(payload, opened)
        if answer is not None:  # killed before this line, the reconciler adds it
            await self._queues.outbound.add_bulk([self._answer(payload, answer)])
        await enqueue(self._queues, told)
        # Also for a message that was known: the run that stored it may have been killed right here.
        if to_fetch(content) is not None and self._media.can_fetch(gateway):
            fetch = media_job(
                self._queues.message,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                message_id=message_id,
            )
            await self._queues.message.add_bulk([fetch])
        return {"status": "stored" if is_new else "known", "messageId": str(message_id), "runs": len(opened)}

    def _answer(self, payload: IncomingPayload, message_id: UUID) -> NewJob:
        return send_job(
            self._queues.outbound,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=message_id,
            priority=Origin.AUTOMATION.priority,
        )

    async def _enqueue(self, payload: IncomingPayload, opened: list[OpenRun]) -> None:
        now_ms = self._clock()
        await self._queues.automation.add_bulk(
            [
                step_job(
                    self._queues.automation,
                    organization_id=payload.organization_id,
                    instance_id=payload.instance_id,
                    run_id=run.id,
                    delay_ms=milliseconds(run.due_at) - now_ms,
                )
                for run in opened
            ]
        )

    async def _receipt(self, payload: ReceiptPayload) -> object:
        about = checked(lambda: _id(payload.message_id))
        wire_id = None if payload.wire_id is None else checked(lambda: _id(str(payload.wire_id)))
        at = moment(checked(lambda: point_in_time(payload.at, field="at")))
        code = None if payload.error_code is None else storable(str(payload.error_code))[:200]
        async with self._database.begin() as connection:
            gateway = await gateway_of(
                connection, organization_id=payload.organization_id, instance_id=payload.instance_id
            )
            applied = await receipts.apply(
                connection,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                message_id=about,
                status=payload.status,
                at=at,
                now=moment(self._clock()),
                error_code=code,
                error=storable(payload.error) if payload.error else None,
                wire_id=wire_id,
            )
            if applied is None:
                raise ReceiptTooEarly(about, instance_id=payload.instance_id)
            if payload.pricing:
                await receipts.price(
                    connection, payload.pricing, organization_id=payload.organization_id, message_id=applied.id
                )
            stopped = await late_refusals.stop(connection, payload, applied, gateway=gateway, now_ms=self._clock())
            told = await self._tell(connection, payload, applied, at=at, code=code)
        await enqueue(self._queues, told)
        if stopped is not None:
            await stopped.tell(self._listener)
        return {"status": applied.holds.value}

    async def _tell(
        self, connection: AsyncConnection, payload: ReceiptPayload, applied: Applied, *, at: datetime, code: str | None
    ) -> list[Told]:
        if not applied.is_news:
            return []
        return await became(
            connection,
            organization_id=payload.organization_id,
            instance_id=payload.instance_id,
            message_id=applied.id,
            wire_id=applied.wire_id,
            status=applied.holds.value,
            at=at,
            code=code,
            reason=storable(payload.error) if payload.error else None,
        )

    async def _update(self, payload: UpdatePayload) -> object:
        now = moment(self._clock())
        at = now if payload.at in {0, "0"} else moment(checked(lambda: point_in_time(payload.at, field="at")))
        async with self._database.begin() as connection:
            await gateway_of(connection, organization_id=payload.organization_id, instance_id=payload.instance_id)
            signals = await updates.apply(
                connection,
                organization_id=payload.organization_id,
                instance_id=payload.instance_id,
                account_id=payload.account_id,
                kind=payload.kind,
                subject=payload.subject,
                details=payload.details,
                at=at,
                now=now,
            )
        for signal in signals or []:
            await self._listener(signal)
        return {"status": "old" if signals is None else "applied", "kind": payload.kind}


async def _existing(connection: AsyncConnection, instance_id: str, wire_id: str) -> tuple[UUID, str]:
    query = select(messages.c.id, messages.c.direction).where(
        messages.c.instance_id == instance_id, messages.c.wire_id == wire_id
    )
    row = (await connection.execute(query)).one()
    return row.id, row.direction


def _id(message_id: str) -> str:
    if not 1 <= len(message_id) <= _LONGEST_ID or storable(message_id) != message_id:
        raise Invalid("messageId", f"is {message_id[:40]!r}", remedy=f"give 1 to {_LONGEST_ID} characters, no U+0000")
    return message_id
