"""Campaigns: made, changed, moved through their life, and accounted for to the last recipient."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import case, func, select, update

from berrante.engine.connection import system_clock
from berrante.messaging.campaigns.audience import Audience, entries, numbers_of
from berrante.messaging.campaigns.campaign import Campaign, load, owned, told_of
from berrante.messaging.campaigns.content import Content, Shares
from berrante.messaging.campaigns.copying import copy
from berrante.messaging.campaigns.editing import UNCHANGED, Unchanged, edited
from berrante.messaging.campaigns.files import drop_files, keep_files
from berrante.messaging.campaigns.freezing import Plan, counts_by_reason
from berrante.messaging.campaigns.jobs import rouse
from berrante.messaging.campaigns.life import STEPS, IllegalMove, Move, Status, is_done_already
from berrante.messaging.campaigns.models import campaign_entries, campaigns
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.campaigns.progress import CampaignProgress, count
from berrante.messaging.campaigns.readiness import check_audience, check_automation, check_ways_out
from berrante.messaging.campaigns.retrying import Retry, put_back
from berrante.messaging.campaigns.storing import store
from berrante.messaging.campaigns.winding_down import skip_pending, skip_queued
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.emitting import Told, emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.fields import named
from berrante.messaging.queues import Queues
from berrante.messaging.quotas import admit_campaign
from berrante.store import Database, new_id

_EVENTS: Final = {
    Move.START: EventType.CAMPAIGN_STARTED,
    Move.PAUSE: EventType.CAMPAIGN_PAUSED,
    Move.RESUME: EventType.CAMPAIGN_RESUMED,
    Move.CANCEL: EventType.CAMPAIGN_CANCELLED,
}
#: Why a campaign paused itself stays; what it waited for does not.
_NO_LONGER_WAITS: Final = case((campaigns.c.reason.startswith("waits "), None), else_=campaigns.c.reason)


class Campaigns:
    """Makes, changes, moves and follows campaigns. Whatever is another organization's is ``Missing``."""

    def __init__(self, database: Database, queues: Queues, clock: Clock = system_clock) -> None:
        self._database = database
        self._queues = queues
        self._clock = clock

    async def create(
        self,
        *,
        organization_id: UUID,
        instance_id: str | Sequence[str] | Mapping[str, int],
        name: str,
        body: str | None = None,
        content: object = None,
        recipients: Iterable[str | Mapping[str, Any]] | None = None,
        segment: str | None = None,
        rest_days: int | None = None,
        pace: object = None,
        reply_automation_id: UUID | None = None,
    ) -> Campaign:
        """Make a draft, for a list of ``recipients``, a ``segment`` of contacts, or a file that is to come.

        ``instance_id`` is one number, several, or numbers with weights. ``body`` is short for a content of one text.
        Raises ``Invalid`` that names the field, or ``Missing`` for a number that is not the organization's.
        """
        if recipients is not None and segment is not None:
            raise Invalid("recipients", "and segment are both given", remedy="give one of them")
        lines = entries(recipients) if recipients is not None else []
        numbers = Shares.checked(numbers_of(instance_id), field="instance_id").weights
        written = Content.read(body if content is None else content, organization_id=organization_id)
        campaign_id = new_id()
        row = {
            "id": campaign_id,
            "organization_id": organization_id,
            "instance_id": numbers[0][0],
            "name": named(name),
            "content": written.stored(),
            "audience": Audience.checked(segment=segment, rest_days=rest_days).stored(),
            "pace": Policy.read(pace).stored(),
            "reply_automation_id": reply_automation_id,
            "status": Status.DRAFT.value,
        }
        async with self._database.tenant(organization_id) as connection:
            await check_ways_out(connection, organization_id, [each for each, _ in numbers], written)
            if reply_automation_id is not None:
                await check_automation(connection, organization_id, reply_automation_id, [each for each, _ in numbers])
            await store(connection, row, numbers, lines)
            await keep_files(connection, organization_id, campaign_id, written)
            (made,) = await load(connection, campaigns.c.id == campaign_id)
        return made

    async def get(self, organization_id: UUID, campaign_id: UUID) -> Campaign | None:
        """Return one of an organization's campaigns, or None."""
        async with self._database.tenant(organization_id) as connection:
            found = await load(
                connection, campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id
            )
        return found[0] if found else None

    async def find(self, campaign_id: UUID) -> Campaign:
        """Return a campaign of whatever organization, for the platform's own commands. Raises ``Missing``."""
        async with self._database.platform(because="a command of the platform names a campaign") as connection:
            found = await load(connection, campaigns.c.id == campaign_id)
        if not found:
            raise Missing("campaign", campaign_id)
        return found[0]

    async def list(self, organization_id: UUID, limit: int = 50, before: UUID | None = None) -> list[Campaign]:
        """Return up to ``limit`` of an organization's campaigns, newest first, those older than the id ``before``."""
        where = [campaigns.c.organization_id == organization_id]
        if before is not None:
            where.append(campaigns.c.id < before)
        async with self._database.tenant(organization_id) as connection:
            return await load(connection, *where, limit=limit)

    async def update(
        self,
        organization_id: UUID,
        campaign_id: UUID,
        *,
        name: str | None = None,
        content: object = None,
        pace: object = None,
        reply_automation_id: UUID | Unchanged | None = UNCHANGED,
    ) -> Campaign:
        """Change name, content, pace or automation, also of a running campaign: the next message is as they say.

        The audience stays as it was made. Raises ``Missing``, ``Invalid``, or ``WrongState`` for one that ended.
        """
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id, locked=True)
            values = edited(campaign, name=name, content=content, pace=pace)
            names = [each for each, _ in campaign.numbers]
            if not isinstance(reply_automation_id, Unchanged):
                values["reply_automation_id"] = reply_automation_id
                if reply_automation_id is not None:
                    await check_automation(connection, organization_id, reply_automation_id, names)
            changed = update(campaigns).where(campaigns.c.id == campaign_id).values(**values, updated_at=func.now())
            await connection.execute(changed)
            (made,) = await load(connection, campaigns.c.id == campaign_id)
            if content is not None:
                await check_ways_out(connection, organization_id, names, made.content)
                await keep_files(connection, organization_id, campaign_id, made.content)
                if made.started_at is None:  # else messages may be on their way that name what it named before
                    await drop_files(connection, organization_id, campaign_id, made.content, at=moment(self._clock()))
        if made.status is Status.RUNNING:
            await rouse(self._queues.campaign, made)
        return made

    async def delete(self, organization_id: UUID, campaign_id: UUID) -> None:
        """Delete a draft, or one that ended before it wrote to anyone; what was sent is never deleted with it."""
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id, locked=True)
            if campaign.status is not Status.DRAFT:
                raise IllegalMove(campaign_id, Move.CANCEL, campaign.status)
            await drop_files(connection, organization_id, campaign_id, None, at=moment(self._clock()))
            await connection.execute(campaigns.delete().where(campaigns.c.id == campaign_id))

    async def duplicate(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """Make a draft of the same content, pace, numbers and audience. Raises ``Missing``."""
        async with self._database.tenant(organization_id) as connection:
            copy_id = await copy(connection, await owned(connection, organization_id, campaign_id, locked=True))
            (made,) = await load(connection, campaigns.c.id == copy_id)
        return made

    async def schedule(self, organization_id: UUID, campaign_id: UUID, *, start_at: datetime) -> Campaign:
        """Let a draft start by itself at a point in time; again, with another time, moves it."""
        if start_at.tzinfo is None:
            raise Invalid("start_at", "has no zone", remedy="give one, for instance 2026-11-27T18:00:00-03:00")
        if start_at <= moment(self._clock()):
            raise Invalid("start_at", "is not in the future", remedy="start the campaign instead")
        return await self._move(organization_id, campaign_id, Move.SCHEDULE, start_at=start_at)

    async def start(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """Let a campaign run from now on; starting a running one again changes nothing.

        Raises ``Missing``, or ``IllegalMove``. If Redis is away after the commit this raises, but the campaign runs:
        the reconciler enqueues it.
        """
        return await self._move(organization_id, campaign_id, Move.START, started_at=moment(self._clock()))

    async def pause(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """Stop after the message that is being sent now; what waits in the lanes stays unsent until ``resume``."""
        return await self._move(organization_id, campaign_id, Move.PAUSE, reason=None)

    async def resume(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """Go on with whoever was not written to."""
        return await self._move(organization_id, campaign_id, Move.RESUME, reason=None)

    async def cancel(self, organization_id: UUID, campaign_id: UUID) -> Campaign:
        """End a campaign: whoever was not written to is skipped; a message that is being sent is not called back."""
        campaign = await self._move(
            organization_id, campaign_id, Move.CANCEL, reason=_NO_LONGER_WAITS, finished_at=moment(self._clock())
        )
        more = True
        while more:  # killed in between, the campaign's job or another cancel does the rest
            async with self._database.tenant(organization_id) as connection:
                more = await skip_pending(connection, campaign_id)
        return campaign

    async def retry(self, organization_id: UUID, campaign_id: UUID, which: Retry) -> int:
        """Write again to recipients whose message failed, as new attempts; return how many there are.

        The old messages stay as they are. Raises ``Missing``, ``IllegalMove``, or ``QuotaExceeded`` if the campaign had
        ended and one more may not run.
        """
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id, locked=True)
            if campaign.status not in STEPS[Move.RETRY].sources:
                raise IllegalMove(campaign_id, Move.RETRY, campaign.status)
            number = await put_back(connection, campaign_id, which, at=moment(self._clock()))
            runs_again = number and campaign.status is Status.FINISHED
            if runs_again:
                await admit_campaign(connection, organization_id)
                await connection.execute(
                    update(campaigns)
                    .where(campaigns.c.id == campaign_id)
                    .values(status=Status.RUNNING.value, finished_at=None, counted_at=None, updated_at=func.now())
                )
        if number and campaign.status is not Status.PAUSED:
            await rouse(self._queues.campaign, campaign)
        return number

    async def progress(self, organization_id: UUID, campaign_id: UUID) -> CampaignProgress:
        """Count the recipients by what became of them. Raises ``Missing``."""
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            if campaign.frozen_at is None:  # no batch may move from the list to the recipients while we count both
                campaign = await owned(connection, organization_id, campaign_id, locked=True)
            progress = await count(connection, campaign_id, at=moment(self._clock()))
            is_whole = campaign.frozen_at is not None or campaign.status is Status.CANCELLED
            if is_whole or campaign.audience.segment is not None:
                return progress
            # Who is in the list, and not yet frozen, is to be written to like the others.
            rest = select(func.count()).where(
                campaign_entries.c.campaign_id == campaign_id,
                campaign_entries.c.position >= int(campaign.freeze_cursor or 0),
            )
            more: int = (await connection.execute(rest)).scalar_one()
            return replace(progress, planned=progress.planned + more, pending=progress.pending + more)

    async def audience(self, organization_id: UUID, campaign_id: UUID) -> dict[str, int]:
        """Count whom a start would take now (``planned``) and leave out, by reason. Raises ``Missing``."""
        async with self._database.tenant(organization_id) as connection:
            campaign = await owned(connection, organization_id, campaign_id)
            plan = Plan(
                organization_id=organization_id,
                campaign_id=new_id(),  # of a campaign that has nobody yet, so nobody is there twice
                audience=campaign.audience,
                numbers=campaign.shares,
                variants=campaign.content.shares,
                at=moment(self._clock()),
                entries_of=campaign_id,
            )
            return await counts_by_reason(connection, plan)

    async def _move(self, organization_id: UUID, campaign_id: UUID, move: Move, **values: object) -> Campaign:
        """Change the status by compare-and-set, and with it what hangs on it, in one transaction."""
        step = STEPS[move]
        own = (campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id)
        statement = (
            update(campaigns)
            .where(*own, campaigns.c.status.in_([status.value for status in step.sources]))
            .values(status=step.target.value, updated_at=func.now(), **values)
        )
        told: list[Told] = []
        async with self._database.tenant(organization_id) as connection:
            if step.target is Status.RUNNING:
                waiting = await owned(connection, organization_id, campaign_id, locked=True)
                if waiting.status in step.sources:
                    await admit_campaign(connection, organization_id)
            moved = (await connection.execute(statement)).rowcount == 1
            campaign = await owned(connection, organization_id, campaign_id)
            if not moved and not is_done_already(move, campaign.status):
                raise IllegalMove(campaign_id, move, campaign.status)
            if moved and step.target in {Status.RUNNING, Status.SCHEDULED}:
                # Raised inside the transaction: the move is undone.
                names = [name for name, _ in campaign.numbers]
                await check_ways_out(connection, organization_id, names, campaign.content)
                await check_audience(connection, campaign)
            if step.target is Status.CANCELLED:
                await skip_queued(connection, campaign_id, [name for name, _ in campaign.numbers])
            if moved and move in _EVENTS:
                told = await emit(connection, organization_id, _EVENTS[move], told_of(campaign))
        await enqueue(self._queues, told)
        if step.target in {Status.RUNNING, Status.SCHEDULED}:
            await rouse(self._queues.campaign, campaign)
        return campaign
