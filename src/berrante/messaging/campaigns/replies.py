"""What a contact's message means to campaigns: an answer to one, or that no more are wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.models import campaign_settings
from berrante.messaging.campaigns.opt_out import DEFAULT_WORDS, checked_words, is_one_of, word_keys
from berrante.messaging.contacts.consent import Consent, Evidence, is_barred, record
from berrante.messaging.endpoints.emitting import Happening
from berrante.messaging.errors import Invalid
from berrante.messaging.fields import text_body
from berrante.store import Database

_REPLY_HOURS = 72
_DEFAULT_KEYS: Final = word_keys(DEFAULT_WORDS)

# The last message of a campaign that the contact got in time is the one that is answered, by its first answer.
_ANSWERED: Final = text("""
    WITH answered AS (
        SELECT DISTINCT ON (last.campaign_id, last.position) last.campaign_id, last.position, said.at, said.message_id
          FROM unnest(CAST(:contacts AS uuid[]), CAST(:times AS timestamptz[]), CAST(:messages AS uuid[]))
                   WITH ORDINALITY AS said (contact_id, at, message_id, place)
         CROSS JOIN LATERAL (
                SELECT r.campaign_id, r.position
                  FROM messages m JOIN campaign_recipients r ON r.message_id = m.id
                 WHERE m.organization_id = CAST(:organization AS uuid) AND m.contact_id = said.contact_id
                   AND m.origin = 'campaign' AND m.sent_at > said.at - make_interval(hours => CAST(:hours AS int))
                 ORDER BY m.id DESC LIMIT 1) AS last
         ORDER BY last.campaign_id, last.position, said.place
    )
    UPDATE campaign_recipients r SET replied_at = answered.at
      FROM answered JOIN campaigns c ON c.id = answered.campaign_id
     WHERE r.campaign_id = answered.campaign_id AND r.position = answered.position AND r.replied_at IS NULL
    RETURNING answered.message_id, c.reply_automation_id
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A new incoming message; ``text`` is None if it is none of text."""

    message_id: UUID
    contact_id: UUID
    instance_id: str
    address: str
    text: str | None
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What follows from a message.

    An opt-out's confirmation, as the organization wishes it, what is to be told, and the automation that its campaign
    names for an answer.
    """

    reply: str | None = None
    happenings: Sequence[Happening] = ()
    automation_id: UUID | None = None


_NOTHING: Final = Heard()


async def hear(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    said: Sequence[Said],
    has_settings: bool = True,
    has_campaigns: bool = True,
) -> list[Heard]:
    """Attribute new incoming messages to the campaigns that they answer, and heed opt-out words; one answer for each.

    A recipient's first answer starts the automation that its campaign names, unless it is an opt-out.

    ``has_settings`` and ``has_campaigns`` are false of an organization that is known to have none: they are not asked
    for. Call it in the transaction that stores the messages. An opt-out holds for the person at all numbers of the
    organization, at once: the claim of the next message sees it.
    """
    if not said:
        return []
    row = (await connection.execute(_settings(organization_id))).one_or_none() if has_settings else None
    words = row.opt_out_words if row is not None else None
    keys = word_keys(words) if words is not None else _DEFAULT_KEYS
    hours = row.reply_hours if row is not None else _REPLY_HOURS
    reply = row.opt_out_reply if row is not None else None
    leaving = {
        each.message_id: await _opted_out(connection, organization_id, each, reply)
        for each in said
        if each.text is not None and is_one_of(each.text, keys)
    }
    if not has_campaigns:
        return [leaving.get(each.message_id, _NOTHING) for each in said]
    given: dict[str, Any] = {"contacts": [each.contact_id for each in said], "times": [each.at for each in said]}
    given |= {"messages": [each.message_id for each in said], "organization": organization_id, "hours": hours}
    answered = await connection.execute(_ANSWERED, given)
    named = {answer.message_id: answer.reply_automation_id for answer in answered}
    return [leaving.get(each.message_id) or Heard(automation_id=named.get(each.message_id)) for each in said]


async def _opted_out(connection: AsyncConnection, organization_id: UUID, said: Said, reply: str | None) -> Heard:
    # Confirmed once: two machines that confirm to each other would never end.
    if reply is not None and await is_barred(connection, organization_id=organization_id, address=said.address):
        reply = None
    happenings = await record(
        connection,
        organization_id=organization_id,
        contact_id=said.contact_id,
        address=said.address,
        state=Consent.OPTED_OUT,
        evidence=Evidence(source="keyword", at=said.at, text=said.text),
    )
    return Heard(reply=reply, happenings=happenings)


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
