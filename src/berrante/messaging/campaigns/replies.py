"""What a contact's message means to campaigns: an answer to one, or that no more are wanted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import campaign_recipients, campaign_settings
from berrante.messaging.campaigns.opt_out import DEFAULT_WORDS, checked_words, is_opt_out
from berrante.messaging.contacts.consent import Consent, Evidence, is_barred, record
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import text_body
from berrante.messaging.messages.models import messages
from berrante.store import Database

_REPLY_HOURS = 72


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What was made of a message; ``campaign_id`` is the campaign that it answers, ``reply`` what is to be answered."""

    opted_out: bool
    campaign_id: UUID | None
    reply: str | None = None


async def hear(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    contact_id: UUID,
    address: str,
    text: str | None,
    at: datetime,
) -> Heard:
    """Attribute a new incoming message to the campaign that it answers, and heed an opt-out word.

    Call it in the transaction that stores the message. An opt-out holds for the person at all numbers of the
    organization, at once: the claim of the next message sees it.
    """
    row = (await connection.execute(_settings(organization_id))).one_or_none()
    words = row.opt_out_words if row is not None and row.opt_out_words is not None else DEFAULT_WORDS
    hours = row.reply_hours if row is not None else _REPLY_HOURS
    opted_out = text is not None and is_opt_out(text, words)
    reply: str | None = None
    if opted_out:
        # Confirmed once: two machines that confirm to each other would never end.
        if row is not None and not await is_barred(connection, organization_id=organization_id, address=address):
            reply = row.opt_out_reply
        await record(
            connection,
            organization_id=organization_id,
            address=address,
            state=Consent.OPTED_OUT,
            evidence=Evidence(source="keyword", at=at, text=text),
        )
    r, m = campaign_recipients.c, messages.c
    last = (
        select(r.campaign_id, r.position)
        .join(messages, m.id == r.message_id)
        .where(m.contact_id == contact_id, m.origin == "campaign", m.sent_at > at - timedelta(hours=hours))
        .order_by(m.id.desc())
        .limit(1)
    )
    answered = (await connection.execute(last)).one_or_none()
    if answered is not None:
        statement = update(campaign_recipients).where(
            r.campaign_id == answered.campaign_id, r.position == answered.position
        )
        await connection.execute(statement.values(replied_at=func.coalesce(r.replied_at, at)))
    return Heard(opted_out=opted_out, campaign_id=answered.campaign_id if answered else None, reply=reply)


@dataclass(frozen=True, kw_only=True, slots=True)
class CampaignSettings:
    """An organization's opt-out words by language, hours in which an answer counts as one, and the opt-out's reply."""

    opt_out_words: dict[str, list[str]]
    reply_hours: int
    opt_out_reply: str | None = None


async def settings_of(database: Database, organization_id: UUID) -> CampaignSettings:
    """Return an organization's settings, or the usual ones."""
    async with database.tenant(organization_id) as connection:
        row = (await connection.execute(_settings(organization_id))).one_or_none()
    words = row.opt_out_words if row is not None and row.opt_out_words is not None else DEFAULT_WORDS
    return CampaignSettings(
        opt_out_words={language: list(group) for language, group in words.items()},
        reply_hours=row.reply_hours if row is not None else _REPLY_HOURS,
        opt_out_reply=row.opt_out_reply if row is not None else None,
    )


async def change_settings(
    database: Database,
    organization_id: UUID,
    *,
    opt_out_words: dict[str, list[str]] | None,
    reply_hours: int,
    opt_out_reply: str | None = None,
) -> CampaignSettings:
    """Store an organization's settings; words None are the usual ones, a reply None is none. Raises ``Invalid``."""
    if not 1 <= reply_hours <= 720:
        raise Invalid("reply_hours", f"is {reply_hours}", remedy="give 1 to 720")
    words = checked_words(opt_out_words, field="opt_out_words") if opt_out_words is not None else None
    reply = text_body(opt_out_reply, field="opt_out_reply") if opt_out_reply is not None else None
    values = {"opt_out_words": words, "reply_hours": reply_hours, "opt_out_reply": reply}
    new = insert(campaign_settings).values(organization_id=organization_id, **values)
    async with database.tenant(organization_id) as connection:
        await connection.execute(new.on_conflict_do_update(index_elements=["organization_id"], set_=values))
    return await settings_of(database, organization_id)


def _settings(organization_id: UUID) -> Select[Any]:
    c = campaign_settings.c
    return select(c.opt_out_words, c.reply_hours, c.opt_out_reply).where(
        campaign_settings.c.organization_id == organization_id
    )
