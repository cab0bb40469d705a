"""Campaigns: one text to many contacts, of each of whom can be said what became of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import func, insert, select, update

from berrante.messaging.addresses import checked
from berrante.messaging.campaigns.jobs import tick_job
from berrante.messaging.campaigns.models import campaign_recipients, campaigns
from berrante.messaging.campaigns.progress import CampaignProgress, counted, counting
from berrante.messaging.endpoints.emitting import Told, emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.errors import Invalid, Missing, WrongState
from berrante.messaging.fields import named, text_body
from berrante.messaging.instances.service import Instances
from berrante.messaging.messages.models import messages
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import admit_campaign
from berrante.store import Database, new_id

_MOST: Final = 100_000
_CHUNK: Final = 5_000
_EVENTS: Final = {"running": EventType.CAMPAIGN_STARTED, "cancelled": EventType.CAMPAIGN_CANCELLED}


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """One text to many contacts; ``status`` is draft, running, done or cancelled."""

    id: UUID
    organization_id: UUID
    instance_id: str
    name: str
    body: str
    status: str
    created_at: datetime


class Campaigns:
    """Makes, starts, cancels and follows campaigns."""

    def __init__(self, database: Database, queues: Queues) -> None:
        self._database = database
        self._queues = queues

    async def create(
        self, *, organization_id: UUID, instance_id: str, name: str, body: str, recipients: Iterable[str]
    ) -> Campaign:
        """Make a draft; a number given twice is written to once.

        Raises ``Invalid`` that names the first recipient that is no phone number, or ``Missing`` for an instance that
        is not the organization's.
        """
        addresses = _addresses(recipients)
        row = {
            "id": new_id(),
            "organization_id": organization_id,
            "instance_id": instance_id,
            "name": named(name),
            "body": text_body(body, field="body"),
            "status": "draft",
        }
        if await Instances(self._database).find(organization_id, instance_id) is None:
            raise Missing("instance", instance_id)
        async with self._database.tenant(organization_id) as connection:
            made = (await connection.execute(insert(campaigns).values(row).returning(campaigns))).one()
            for start in range(0, len(addresses), _CHUNK):
                chunk = [
                    {
                        "id": new_id(),
                        "campaign_id": row["id"],
                        "organization_id": organization_id,
                        "address": address,
                        "position": position,
                        "status": "pending",
                    }
                    for position, address in enumerate(addresses[start : start + _CHUNK], start)
                ]
                await connection.execute(insert(campaign_recipients), chunk)
        return Campaign(**made._mapping)

    async def get(self, organization_id: UUID, campaign_id: UUID) -> Campaign | None:
        """Return one of an organization's campaigns, or None."""
        query = select(campaigns).where(campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id)
        async with self._database.tenant(organization_id) as connection:
            row = (await connection.execute(query)).one_or_none()
        return Campaign(**row._mapping) if row else None

    async def start(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """Let a draft run; starting a running campaign again changes nothing.

        Raises ``Missing``, ``QuotaExceeded``, or ``WrongState``. If Redis is away after the commit this raises, but the
        campaign runs: the reconciler enqueues it.
        """
        campaign = await self._move(organization_id, campaign_id, source=("draft", "running"), target="running")
        job = tick_job(
            self._queues.campaign,
            organization_id=organization_id,
            instance_id=campaign.instance_id,
            campaign_id=campaign_id,
        )
        await self._queues.campaign.add_bulk([job])
        return campaign

    async def cancel(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """End a campaign: whoever was not written to is skipped; a message that is being sent is not called back.

        Cancelling again changes nothing. Raises ``Missing``, or ``WrongState`` for one that is done.
        """
        source = ("draft", "running", "cancelled")
        return await self._move(organization_id, campaign_id, source=source, target="cancelled")

    async def progress(self, organization_id: UUID, campaign_id: UUID) -> CampaignProgress:
        """Count the recipients by what became of them. Raises ``Missing``."""
        planned = (
            select(func.count())
            .select_from(campaign_recipients)
            .where(
                campaign_recipients.c.campaign_id == campaign_id,
                campaign_recipients.c.organization_id == organization_id,
            )
        )
        if await self.get(organization_id, campaign_id) is None:
            raise Missing("campaign", campaign_id)
        async with self._database.tenant(organization_id) as connection:
            number = (await connection.execute(planned)).scalar_one()
            counts = {row.status: row.number for row in await connection.execute(counting(campaign_id))}
        return counted(counts, planned=number)

    async def list(self, organization_id: UUID, limit: int = 50) -> list[Campaign]:
        """Return up to ``limit`` of an organization's campaigns, newest first."""
        query = (
            select(campaigns)
            .where(campaigns.c.organization_id == organization_id)
            .order_by(campaigns.c.id.desc())
            .limit(limit)
        )
        async with self._database.tenant(organization_id) as connection:
            return [Campaign(**row._mapping) for row in await connection.execute(query)]

    async def _move(
        self, organization_id: UUID, campaign_id: UUID, *, source: tuple[str, ...], target: str
    ) -> Campaign:
        """Change the status, and with it what hangs on it, in one transaction."""
        own = (campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id)
        told: list[Told] = []
        async with self._database.tenant(organization_id) as connection:
            # The lock that a tick takes too: no recipient is written to while the campaign ends.
            lock = select(campaigns).where(*own).with_for_update(key_share=True)
            row = (await connection.execute(lock)).one_or_none()
            if row is None:
                raise Missing("campaign", campaign_id)
            if row.status not in source:
                raise WrongState("campaign", campaign_id, state=row.status, needed=" or ".join(source))
            if target == "running" and row.status != "running":
                await admit_campaign(connection, organization_id)
            moved = update(campaigns).where(*own).values(status=target).returning(campaigns)
            campaign = Campaign(**(await connection.execute(moved)).one()._mapping)
            if row.status != target:
                told = await emit(connection, organization_id, _EVENTS[target], _told(campaign))
            if target == "cancelled":
                mine = campaign_recipients.c.campaign_id == campaign_id
                pending = update(campaign_recipients).where(mine, campaign_recipients.c.status == "pending")
                await connection.execute(pending.values(status="skipped"))
                queued = update(messages).where(
                    messages.c.id.in_(select(campaign_recipients.c.message_id).where(mine)),
                    messages.c.status == MessageStatus.QUEUED.value,
                )
                reason = "the campaign was cancelled"
                await connection.execute(
                    queued.values(status=MessageStatus.SKIPPED.value, failure_reason=reason, updated_at=func.now())
                )
        await enqueue(self._queues, told)
        return campaign


def _told(campaign: Campaign) -> dict[str, str]:
    return {"campaign_id": str(campaign.id), "instance_id": campaign.instance_id, "name": campaign.name}


def _addresses(recipients: Iterable[str]) -> list[str]:
    if isinstance(recipients, str):
        raise Invalid("recipients", "is one text", remedy="give a list of phone numbers")
    found = dict.fromkeys(checked(address, field=f"recipients[{index}]") for index, address in enumerate(recipients))
    if not found:
        raise Invalid("recipients", "is empty", remedy="give at least one phone number")
    if len(found) > _MOST:
        raise Invalid("recipients", f"has {len(found)} numbers", remedy=f"give at most {_MOST} per campaign")
    return list(found)
