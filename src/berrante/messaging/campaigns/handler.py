"""The queue ``campaign``: one job per campaign, which keeps a few messages in each number's lane and waits again."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Job, NewJob, Snooze, Unrecoverable
from berrante.gateways.protocol import Gateway
from berrante.messaging.campaigns import days, lane
from berrante.messaging.campaigns.campaign import Campaign, load, told_of
from berrante.messaging.campaigns.forecast import expectations
from berrante.messaging.campaigns.freezing import Plan, freeze_batch
from berrante.messaging.campaigns.jobs import TICK, TickPayload
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_numbers, campaigns
from berrante.messaging.campaigns.number_hours import NumberHours, number_hours
from berrante.messaging.campaigns.pace import NumberState, budget
from berrante.messaging.campaigns.pace.budget import gap
from berrante.messaging.campaigns.pace.policy import Policy
from berrante.messaging.campaigns.progress import count
from berrante.messaging.campaigns.recipients import has_pending, next_due, write_next
from berrante.messaging.campaigns.rehearsal_scene import Pace
from berrante.messaging.campaigns.telling import tell
from berrante.messaging.campaigns.winding_down import skip_pending
from berrante.messaging.campaigns.zone_counts import count_down
from berrante.messaging.clock import Clock, moment
from berrante.messaging.endpoints.emitting import Told, emit, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.errors import QuotaExceeded
from berrante.messaging.instances.tenancy import gateway_of
from berrante.messaging.outbound.writing import gateway_named
from berrante.messaging.payloads import read
from berrante.messaging.queues import Queues
from berrante.messaging.quotas.service import Quotas, Spending, admit_campaign, spending
from berrante.store import Database

#: How soon a campaign of which all is written looks whether all is sent.
SETTLING_MS: Final = 1_000
#: How soon a full lane is looked at again: a gap, within these bounds.
_FULL: Final = (timedelta(milliseconds=100), timedelta(seconds=5))
#: How long a tick may sleep at most: a number of the pace that was changed meanwhile is seen by then.
_LONGEST: Final = timedelta(minutes=1)
_FREEZES_PER_RUN: Final = 10


@dataclass(kw_only=True, slots=True)
class _Turn:
    """What one tick did: jobs to add now that the rows are there, and when to come back."""

    spent: Spending
    jobs: list[NewJob] = field(default_factory=list)
    stale: list[lane.Waiting] = field(default_factory=list)
    wake: list[datetime] = field(default_factory=list)
    #: The last counts, once the campaign is finished.
    last: dict[str, Any] | None = None
    told: list[Told] = field(default_factory=list)


class CampaignHandler:
    """Handles ``tick``. One recipient has one message, however many workers tick at once or are killed.

    Everything is decided from rows under the campaign's lock; Redis holds one job per campaign and a window per number.
    """

    def __init__(
        self,
        *,
        database: Database,
        queues: Queues,
        gateways: Mapping[str, Gateway],
        clock: Clock,
        pace: Pace | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._queues = queues
        self._gateways = gateways
        self._clock = clock
        self._pace = pace or Pace()
        self._quotas = quotas
        self._luck = random.Random()  # noqa: S311  jitter

    async def __call__(self, job: Job) -> object:
        """Take the campaign one step further; raises ``Unrecoverable`` for a job that can never be done."""
        if job.name != TICK:
            raise Unrecoverable(f"queue 'campaign' has no jobs named {job.name!r}: use 'tick'")
        payload = read(job, TickPayload)
        for _ in range(_FREEZES_PER_RUN):
            told: list[Told] = []
            async with spending(self._quotas, payload.organization_id) as spent, self._database.begin() as connection:
                now = moment(self._clock())
                campaign = await self._ours(connection, payload)
                if campaign.status is Status.SCHEDULED:
                    if campaign.start_at is not None and campaign.start_at > now:
                        return Snooze(_ms(min(campaign.start_at - now, _LONGEST)))
                    if waits := await self._over_quota(connection, campaign):
                        return waits
                    await _set(connection, campaign.id, status=Status.RUNNING.value, started_at=now, reason=None)
                    started = EventType.CAMPAIGN_STARTED
                    told = await emit(connection, campaign.organization_id, started, told_of(campaign))
                elif campaign.status is not Status.RUNNING:
                    return await self._stopped(connection, campaign)
                turn = None
                if campaign.frozen_at is None:
                    await self._freeze(connection, campaign, now)
                else:
                    turn = await self._turn(connection, campaign, spent, now)
            await enqueue(self._queues, told)
            if turn is not None:
                return await self._after(job, campaign, turn)
        return Snooze(0)

    async def _ours(self, connection: AsyncConnection, payload: TickPayload) -> Campaign:
        await gateway_of(connection, organization_id=payload.organization_id, instance_id=payload.instance_id)
        # One tick of a campaign at a time: the next waits here, and sees what this one did.
        found = await load(
            connection,
            campaigns.c.id == payload.campaign_id,
            campaigns.c.organization_id == payload.organization_id,
            campaigns.c.instance_id == payload.instance_id,
            locked=True,
        )
        if not found:
            raise Unrecoverable(f"instance {payload.instance_id!r} has no campaign {payload.campaign_id}")
        return found[0]

    async def _over_quota(self, connection: AsyncConnection, campaign: Campaign) -> Snooze | None:
        """Let a campaign whose hour has come wait, while the organization's quota is used up by others."""
        try:
            await admit_campaign(connection, campaign.organization_id)
        except QuotaExceeded as error:
            await _set(connection, campaign.id, reason=f"waits to start: {error}")
            return Snooze(_ms(_LONGEST))
        return None

    async def _stopped(self, connection: AsyncConnection, campaign: Campaign) -> object:
        if campaign.status is Status.CANCELLED and await skip_pending(connection, campaign.id):
            return Snooze(0)
        return {"status": campaign.status.value}

    async def _freeze(self, connection: AsyncConnection, campaign: Campaign, now: datetime) -> None:
        plan = Plan(
            organization_id=campaign.organization_id,
            campaign_id=campaign.id,
            audience=campaign.audience,
            numbers=campaign.shares,
            variants=campaign.content.shares,
            at=campaign.started_at or now,
        )
        done = await freeze_batch(connection, plan, cursor=campaign.freeze_cursor, position=campaign.positions)
        if done.cursor is None:
            await _set(connection, campaign.id, frozen_at=now)

    async def _turn(self, connection: AsyncConnection, campaign: Campaign, spent: Spending, now: datetime) -> _Turn:
        policy = campaign.pace.at(self._pace.per_minute)
        turn = _Turn(spent=spent)
        in_lanes = await lane.waiting(connection, campaign)
        hours = await number_hours(connection, [name for name, _ in campaign.numbers], now=now)
        turn.stale = await lane.stale(connection, campaign, in_lanes, hours, now=now)
        open_ = {name: 0 for name, _ in campaign.numbers}
        for each in in_lanes:
            open_[each.instance_id] = open_.get(each.instance_id, 0) + 1
        # In one order for all campaigns, so that no two wait for each other's numbers.
        for instance_id in sorted(open_):
            await self._number(
                connection,
                campaign,
                policy,
                turn,
                hours[instance_id],
                instance_id=instance_id,
                open_=open_[instance_id],
                now=now,
            )
        if campaign.reason != spent.reason:
            await _set(connection, campaign.id, reason=spent.reason)
        if not turn.wake:
            if in_lanes or turn.jobs:
                turn.wake.append(now + timedelta(milliseconds=SETTLING_MS))
            elif not await has_pending(connection, campaign.id):
                # Counted in the same transaction: whoever reads that it is finished reads the last counts too.
                turn.last = (await count(connection, campaign.id, at=now)).stored() | expectations([], None)
                over = {"status": Status.FINISHED.value, "finished_at": now, "counts": turn.last, "counted_at": now}
                await _set(connection, campaign.id, **over)
                finished = EventType.CAMPAIGN_FINISHED
                turn.told = await emit(connection, campaign.organization_id, finished, told_of(campaign))
        return turn

    async def _number(
        self,
        connection: AsyncConnection,
        campaign: Campaign,
        policy: Policy,
        turn: _Turn,
        hours: NumberHours,
        *,
        instance_id: str,
        open_: int,
        now: datetime,
    ) -> None:
        due = await next_due(connection, campaign.id, instance_id)
        if due is None:
            return
        if due > now or not hours.allowed:
            turn.wake.append(max(due, now if hours.allowed else hours.until))
            return
        today = now.astimezone(policy.own_zone).date()
        policy = hours.tightened(policy, today)
        written, strangers = await days.done_on(
            connection, organization_id=campaign.organization_id, instance_id=instance_id, day=today
        )
        row = (
            campaign_numbers.c.campaign_id == campaign.id,
            campaign_numbers.c.instance_id == instance_id,
        )
        next_at = (await connection.execute(select(campaign_numbers.c.next_at).where(*row))).scalar_one()
        state = NumberState(
            open=open_,
            next_at=next_at or now,
            day=today,
            begun=(campaign.started_at or now).astimezone(policy.own_zone).date(),
            written=written,
            first_contacts=strangers,
        )
        granted = budget(state, policy, now=now, chance=self._luck.random)
        if granted.count:
            may = await turn.spent.take(connection, granted.count)
            if may == 0:
                turn.wake.append(now + timedelta(seconds=turn.spent.wait_s))
                return
            name = await gateway_of(connection, organization_id=campaign.organization_id, instance_id=instance_id)
            tomorrow = datetime.combine(today + timedelta(days=1), time(0), policy.own_zone)
            done = await write_next(
                connection,
                campaign,
                gateway_named(self._gateways, name),
                instance_id=instance_id,
                count=may,
                strangers=granted.first_contacts,
                now=now,
                next_day=tomorrow,
                until=hours.until,
            )
            turn.spent.written += len(done.message_ids)
            turn.jobs += [lane.job_of(self._queues, campaign, instance_id, each) for each in done.message_ids]
            await count_down(connection, campaign.id, instance_id, done.done)
            await days.add(
                connection,
                instance_id=instance_id,
                day=today,
                written=len(done.message_ids),
                first_contacts=done.strangers,
            )
            if done.message_ids:  # slots that nobody took are not slots that were used
                await connection.execute(update(campaign_numbers).where(*row).values(next_at=granted.next_at))
            elif done.more_due:
                turn.wake.append(now)
                return
            due = await next_due(connection, campaign.id, instance_id)
            if due is None:
                return
        full = now + min(max(gap(policy, 0.5), _FULL[0]), _FULL[1])
        turn.wake.append(max(due, granted.wake_at or full))

    async def _after(self, job: Job, campaign: Campaign, turn: _Turn) -> object:
        # Killed before this line, the messages have no jobs: a later tick sees that they are stale.
        await self._queues.outbound.add_bulk(turn.jobs)
        await lane.restore(self._queues, campaign, turn.stale)
        now = moment(self._clock())
        await enqueue(self._queues, turn.told)
        if turn.last is not None:
            await job.update_progress(turn.last | {"counted_at": now.isoformat()})
            return {"status": Status.FINISHED.value}
        if await tell(self._database, self._queues, job, campaign, now=now, pace=self._pace):
            return {"status": Status.PAUSED.value}
        wake = min(turn.wake, default=now)
        return Snooze(max(0, _ms(min(wake - now, _LONGEST))))


async def _set(connection: AsyncConnection, campaign_id: UUID, **values: object) -> None:
    changed = update(campaigns).where(campaigns.c.id == campaign_id).values(**values, updated_at=func.now())
    await connection.execute(changed)


def _ms(span: timedelta) -> int:
    return -(-span // timedelta(milliseconds=1))
