"""Erasing a person: what was said and who it was goes; that campaigns must not write there stays, as a hash.

Rows of messages stay without their content, since counts and receipts refer to them. Files that nobody else names are
noted, and deleted by ``FileSweeper`` afterwards. Other copies beyond the database are not reached from here: jobs that
are kept in Redis until their retention ends, logs, what webhooks were told.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.automations.models import automation_runs
from berrante.messaging.campaigns.models import campaign_entries, campaign_recipients
from berrante.messaging.cloud_numbers.models import number_updates
from berrante.messaging.contacts.consent import Refusal, bar
from berrante.messaging.contacts.models import consents, contacts
from berrante.messaging.files.keeping import let_go
from berrante.messaging.messages.files import file_in
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus


async def erase_person(connection: AsyncConnection, *, organization_id: UUID, address: str, at: datetime) -> None:
    """Erase all contacts of an address in the transaction; a message that is being sent becomes in doubt."""
    lock = (
        select(contacts.c.id, contacts.c.whatsapp_address)
        .where(contacts.c.organization_id == organization_id, contacts.c.address == address)
        .order_by(contacts.c.id)
        .with_for_update()
    )
    rows = (await connection.execute(lock)).all()
    ids = [row.id for row in rows]
    await bar(connection, organization_id=organization_id, address=address, at=at, erased_at=at)
    files = await _files(connection, ids)
    await _messages(connection, ids, at)
    await let_go(connection, files, at=at)
    await _plans(connection, organization_id, address, ids)
    await _preferences(connection, organization_id, {address, *(row.whatsapp_address or address for row in rows)})
    await connection.execute(update(consents).where(consents.c.contact_id.in_(ids)).values(text=None, source="erased"))
    gone: dict[str, Any] = {
        "address_kind": "erased",
        "address": func.concat("erased-", cast(contacts.c.id, String)),
        "whatsapp_address": None,
        "name": None,
        "name_key": None,
        "name_given": False,
        "language": None,
        "fields": {},
        "tags": [],
        "consent": "opted_out",
        "suppression_reason": None,
        "erased_at": at,
        "last_message_at": None,
        "read_until": None,
        "updated_at": at,
    }
    await connection.execute(update(contacts).where(contacts.c.id.in_(ids)).values(gone))


async def _files(connection: AsyncConnection, ids: list[UUID]) -> list[tuple[UUID, UUID, object]]:
    """Return what their messages name, and lock these: nobody adds a file to one that is about to be emptied."""
    query = (
        select(messages.c.organization_id, messages.c.id, file_in)
        .where(messages.c.contact_id.in_(ids))
        .order_by(messages.c.id)
        .with_for_update(key_share=True)
    )
    return [(organization_id, id_, file) for organization_id, id_, file in await connection.execute(query)]


async def _messages(connection: AsyncConnection, ids: list[UUID], at: datetime) -> None:
    of_contacts = update(messages).where(messages.c.contact_id.in_(ids))
    for was, becomes in (
        (MessageStatus.QUEUED, MessageStatus.SKIPPED),
        # Whoever sends it now has read it already; whether it arrived is not to be asked any more.
        (MessageStatus.SENDING, MessageStatus.IN_DOUBT),
    ):
        closed = {"status": becomes.value, "failure_reason": Refusal.ERASED.reason, "updated_at": at}
        await connection.execute(of_contacts.where(messages.c.status == was.value).values(closed))
    # A text stays a text, an empty one: whoever reads a content finds the keys of its type.
    wiped = func.jsonb_build_object("type", messages.c.content["type"], "text", "", "erased", True)
    await connection.execute(of_contacts.values(content=wiped))


async def _preferences(connection: AsyncConnection, organization_id: UUID, addresses: set[str]) -> None:
    """Forget what WhatsApp told of the person's wishes: it stands under the address. The contact's bar stays."""
    subjects = [f"marketing:{spelling}" for each in addresses for spelling in (each, each.removeprefix("+"))]
    statement = delete(number_updates).where(
        number_updates.c.organization_id == organization_id, number_updates.c.subject.in_(subjects)
    )
    await connection.execute(statement)


async def _plans(connection: AsyncConnection, organization_id: UUID, address: str, ids: list[UUID]) -> None:
    """Take back what would still be written, and the address wherever else it stands."""
    theirs = select(messages.c.id).where(messages.c.contact_id.in_(ids))
    runs = update(automation_runs).where(
        automation_runs.c.organization_id == organization_id,
        automation_runs.c.status == "open",
        automation_runs.c.message_id.in_(theirs),
    )
    await connection.execute(runs.values(status="skipped"))
    # Lists of campaigns that have not begun: they never come to know the person.
    listed = delete(campaign_entries).where(
        campaign_entries.c.organization_id == organization_id, campaign_entries.c.address == address
    )
    await connection.execute(listed)
    recipients = update(campaign_recipients).where(
        campaign_recipients.c.organization_id == organization_id, campaign_recipients.c.address == address
    )
    await connection.execute(
        recipients.where(campaign_recipients.c.status == "pending").values(status="skipped", reason="erased")
    )
    anonymous = func.concat("erased-", cast(campaign_recipients.c.position, String))
    await connection.execute(recipients.values(address=anonymous, params={}))
