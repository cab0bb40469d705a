"""What can be asked of a campaign: previews, recipients, the ledger, a rehearsal."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import GroupRate
from berrante.engine.connection import system_clock
from berrante.messaging.addresses import checked
from berrante.messaging.campaigns.campaign import owned
from berrante.messaging.campaigns.content import Rendered, RenderFailed
from berrante.messaging.campaigns.forecast import expectations, forecast
from berrante.messaging.campaigns.freezing import Plan, whole
from berrante.messaging.campaigns.ledger import Ledger, balance, causes_of, ledger_of, without_jobs
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE
from berrante.messaging.campaigns.progress import CampaignProgress
from berrante.messaging.campaigns.recipients import values_of
from berrante.messaging.campaigns.rehearsal import Rehearsal, rehearse
from berrante.messaging.campaigns.rehearsal_scene import Pace, groups_left, scene_of, slots_of
from berrante.messaging.campaigns.zone_counts import pending_groups
from berrante.messaging.clock import Clock, moment
from berrante.messaging.contacts.models import contacts
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.messages.models import messages
from berrante.messaging.queues import Queues
from berrante.store import Database, new_id

#: What a recipient may be asked for by: its own statuses, and its message's.
STATUSES: Final = (
    "pending",
    "queued",
    "sending",
    "sent",
    "delivered",
    "read",
    "failed",
    "skipped",
    "in_doubt",
    "excluded",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipient:
    """One recipient and what became of it; ``status`` is its message's once there is one."""

    position: int
    address: str
    contact_id: UUID | None
    instance_id: str
    variant: str
    status: str
    reason: str | None
    failure_code: str | None
    attempt: int
    message_id: UUID | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    replied_at: datetime | None


class CampaignAccount:
    """Answers questions about campaigns, and changes nothing. Whatever is another organization's is ``Missing``."""

    def __init__(
        self,
        database: Database,
        queues: Queues,
        clock: Clock = system_clock,
        *,
        per_minute: float = DEFAULT_PER_MINUTE,
        lane: GroupRate | None = None,
    ) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock
        self._pace = Pace(per_minute=per_minute, lane=lane)

    async def preview(
        self,
        organization_id: UUID,
        campaign_id: UUID,
        *,
        contact_id: UUID | None = None,
        phone: str | None = None,
        params: Mapping[str, str] | None = None,
        variant: str | None = None,
    ) -> Rendered:
        """Return what a contact would get, or a number of whom nothing is known.

        Raises ``Invalid`` with the reason if the content cannot be rendered for it.
        """
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            address, known = await _person(connection, organization_id, contact_id=contact_id, phone=phone)
        values = values_of(address, known | {"params": dict(params or {})})
        try:
            return campaign.content.render(values, who=address, salt=str(campaign_id), variant=variant)
        except RenderFailed as error:
            raise Invalid("content", f"cannot be rendered ({error.code})", remedy=str(error)) from None

    async def lacking(self, organization_id: UUID, campaign_id: UUID) -> dict[str, int]:
        """Count those whom a start would take now and who lack what a text names, by its name; nobody: it is left out.

        They are skipped when their turn comes, unless the text says what to write instead.
        """
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            names = sorted(campaign.content.names)
            if not names:
                return {}
            plan = Plan(
                organization_id=organization_id,
                campaign_id=new_id(),
                audience=campaign.audience,
                numbers=campaign.shares,
                variants=campaign.content.shares,
                at=moment(self._clock()),
                entries_of=campaign_id,
            )
            found = whole(plan).subquery()
            values = (found.c.params[name.partition(".")[::2]].astext for name in names)
            query = select(*(func.count().filter(value.is_(None)) for value in values)).where(found.c.reason.is_(None))
            counts = (await connection.execute(query)).one()
        return {name: number for name, number in zip(names, counts, strict=True) if number}

    async def recipients(
        self, organization_id: UUID, campaign_id: UUID, *, status: str | None, after: int | None, limit: int
    ) -> list[Recipient]:
        """Return up to ``limit`` recipients in the order of the audience, those after a position."""
        if status is not None and status not in STATUSES:
            raise Invalid("status", f"is {status[:40]!r}", remedy=f"give one of {', '.join(STATUSES)}")
        r, m = campaign_recipients.c, messages.c
        query = (
            select(
                r.position,
                r.address,
                r.contact_id,
                r.instance_id,
                r.variant,
                func.coalesce(m.status, r.status).label("status"),
                func.coalesce(r.reason, m.failure_reason).label("reason"),
                m.failure_code,
                r.attempt,
                r.message_id,
                m.sent_at,
                m.delivered_at,
                m.read_at,
                r.replied_at,
            )
            .select_from(campaign_recipients)
            .outerjoin(messages, m.id == r.message_id)
            .where(r.campaign_id == campaign_id)
            .order_by(r.position)
            .limit(limit)
        )
        if after is not None:
            query = query.where(r.position > after)
        if status is not None:
            query = query.where(or_(m.status == status, (r.status == status) & m.id.is_(None)))
        async with self._database.tenant(organization_id) as connection:
            await owned(connection, organization_id, campaign_id)
            return [Recipient(**row._mapping) for row in await connection.execute(query)]

    async def ledger(self, organization_id: UUID, campaign_id: UUID) -> Ledger:
        """Account for every recipient, and name what does not fit."""
        now = moment(self._clock())
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            progress, mismatches = await balance(connection, campaign, now=now)
            causes = await causes_of(connection, campaign)
            mismatches += await without_jobs(connection, self._queues, campaign, now=now)
        return ledger_of(progress, causes, mismatches)

    async def expected(self, organization_id: UUID, campaign_id: UUID, progress: CampaignProgress) -> dict[str, Any]:
        """Return as JSON who is pending by zone, as ticks counted them, and when a running campaign will end."""
        now = moment(self._clock())
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            groups = await pending_groups(connection, campaign_id)
            # Nobody counted yet; a tick that wrote to some since the progress was counted does not matter.
            is_known = campaign.status is Status.RUNNING and (bool(groups) or not progress.pending)
            end = await forecast(connection, campaign, progress, groups, now=now, pace=self._pace) if is_known else None
        return expectations(groups, end)

    async def rehearse(
        self,
        organization_id: UUID,
        campaign_id: UUID,
        *,
        start: datetime | None = None,
        reply_share: float | None = None,
    ) -> tuple[Rehearsal, dict[str, int]]:
        """Play the rest of the campaign on a virtual clock; return it, and who is left out, by reason.

        ``reply_share`` of those who get it are expected to answer; None: as many as did lately.
        """
        if reply_share is not None and not 0 <= reply_share <= 1:
            raise Invalid("reply_share", f"is {reply_share}", remedy="give 0 to 1, for instance 0.05")
        now = moment(self._clock())
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            groups, excluded = await groups_left(connection, campaign, now=now)
            scene = await scene_of(connection, campaign, now=now, pace=self._pace, reply_share=reply_share)
            slots = await slots_of(connection, campaign)
        begin = max(start or campaign.start_at or now, now)
        begun = campaign.started_at.astimezone(campaign.pace.own_zone).date() if campaign.started_at else None
        policy = campaign.pace.at(self._pace.per_minute)
        played = await asyncio.to_thread(rehearse, groups, policy, start=begin, scene=scene, begun=begun, slots=slots)
        return played, excluded


async def _person(
    connection: AsyncConnection, organization_id: UUID, *, contact_id: UUID | None, phone: str | None
) -> tuple[str, dict[str, Any]]:
    if (contact_id is None) is (phone is None):
        raise Invalid("contact_id", "and phone are both given, or neither", remedy="give one of them")
    query = select(contacts).where(contacts.c.organization_id == organization_id).limit(1)
    address = ""
    if phone is not None:
        address = checked(phone, field="phone")
        query = query.where(contacts.c.address == address)
    else:
        query = query.where(contacts.c.id == contact_id)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        if contact_id is not None:
            raise Missing("contact", contact_id)
        return address, {}
    return row.address, {"name": row.name, "language": row.language, "tags": row.tags, "fields": row.fields}
