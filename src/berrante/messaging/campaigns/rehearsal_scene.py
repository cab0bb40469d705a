"""What a rehearsal has to know: whom the campaign still writes to, and what else goes on at its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import GroupRate
from berrante.messaging.campaigns.campaign import Campaign, load
from berrante.messaging.campaigns.freezing import Plan, groups_of
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_days, campaign_numbers, campaigns
from berrante.messaging.campaigns.pace import zone_of
from berrante.messaging.campaigns.pace.policy import DEFAULT_PER_MINUTE
from berrante.messaging.campaigns.rehearsal import Group, Number, Part, Portfolio, Scene
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.instances.models import instances
from berrante.messaging.instances.settings import InstanceSettings
from berrante.messaging.outbound.models import opened_chats
from berrante.messaging.outbound.pacing import limits_of
from berrante.store import new_id

#: How many other campaigns are played along: the next to run come first.
_MOST_OTHERS: Final = 20
_HISTORY: Final = timedelta(days=90)
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """What holds for a campaign, or a number's lane, that says nothing of its own."""

    per_minute: float = DEFAULT_PER_MINUTE
    lane: GroupRate | None = None


async def groups_left(
    connection: AsyncConnection, campaign: Campaign, *, now: datetime
) -> tuple[list[Group], dict[str, int]]:
    """Return those who are still to be written to, by what the scheduler knows of them; and who is left out, by why."""
    plan = Plan(
        organization_id=campaign.organization_id,
        campaign_id=new_id(),
        audience=campaign.audience,
        numbers=campaign.shares,
        variants=campaign.content.shares,
        at=now,
        entries_of=campaign.id,
        recipients_of=campaign.id if campaign.frozen_at is not None else None,
    )
    excluded: dict[str, int] = {}
    counts: dict[tuple[str, str, bool], int] = {}
    for row in await groups_of(connection, plan, zone_field=campaign.pace.zone_field):
        if row.reason is not None:
            excluded[row.reason] = excluded.get(row.reason, 0) + row.number
            continue
        zone = zone_of(row.prefix, given=row.zone, otherwise=campaign.pace.own_zone).key
        key = (row.instance_id, zone, row.stranger)
        counts[key] = counts.get(key, 0) + row.number
    return [Group(instance_id=k[0], zone=k[1], stranger=k[2], count=number) for k, number in counts.items()], excluded


async def scene_of(
    connection: AsyncConnection, campaign: Campaign, *, now: datetime, pace: Pace, reply_share: float | None
) -> Scene:
    """Return what else its numbers do; ``reply_share`` None: as many as answered the organization's last campaigns."""
    names = [name for name, _ in campaign.numbers]
    cloud = await _cloud(connection, names)
    limits = {
        row.portfolio_id or f"number:{name}": row.messaging_limit
        for name, row in cloud.items()
        if row.messaging_limit is not None
    }
    share = reply_share if reply_share is not None else await _answered(connection, campaign.organization_id, now)
    return Scene(
        others=await _others(connection, campaign, names, now=now, pace=pace),
        numbers=await numbers_of(connection, names, now=now, pace=pace),
        portfolios={
            name: Portfolio(limit=limit, opened=await _opened(connection, campaign.organization_id, name, now))
            for name, limit in limits.items()
        },
        reply_share=share,
    )


async def slots_of(connection: AsyncConnection, campaign: Campaign) -> dict[str, datetime]:
    """Return the next slots of a campaign's numbers, of those that have one."""
    n = campaign_numbers.c
    query = select(n.instance_id, n.next_at).where(n.campaign_id == campaign.id, n.next_at.is_not(None))
    return {row.instance_id: row.next_at for row in await connection.execute(query)}


async def _others(
    connection: AsyncConnection, campaign: Campaign, names: Sequence[str], *, now: datetime, pace: Pace
) -> list[Part]:
    shares_one = exists().where(
        campaign_numbers.c.campaign_id == campaigns.c.id, campaign_numbers.c.instance_id.in_(names)
    )
    found = await load(
        connection,
        campaigns.c.organization_id == campaign.organization_id,
        campaigns.c.id != campaign.id,
        campaigns.c.status.in_([Status.RUNNING.value, Status.SCHEDULED.value]),
        shares_one,
    )
    found.sort(key=lambda each: each.started_at or each.start_at or now)
    parts = []
    for each in found[:_MOST_OTHERS]:
        groups, _ = await groups_left(connection, each, now=now)
        begins = max(now, each.start_at or now) if each.status is Status.SCHEDULED else now
        part = Part(
            groups=[group for group in groups if group.instance_id in names],
            policy=each.pace.at(pace.per_minute),
            begins=begins,
            begun=(each.started_at or begins).astimezone(each.pace.own_zone).date(),
            slots=await slots_of(connection, each),
        )
        parts.append(part)
    return parts


async def numbers_of(
    connection: AsyncConnection, names: Sequence[str], *, now: datetime, pace: Pace
) -> dict[str, Number]:
    """Return what holds for each number whatever a campaign says, and what it wrote lately."""
    cloud = await _cloud(connection, names)
    d = campaign_days.c
    days: dict[str, dict[date, tuple[int, int]]] = {}
    # From yesterday on: a campaign's day is that of its own zone.
    recent = select(campaign_days).where(d.instance_id.in_(names), d.day >= (now - _DAY).date())
    for row in await connection.execute(recent):
        days.setdefault(row.instance_id, {})[row.day] = (row.written, row.first_contacts)
    numbers: dict[str, Number] = {}
    settings = select(instances.c.id, instances.c.settings).where(instances.c.id.in_(names))
    for row in await connection.execute(settings):
        known = cloud.get(row.id)
        slowed = known.rate_per_s if known is not None else None
        own = InstanceSettings.of(row.settings)
        limits = limits_of(own, slowed_to=slowed, default=pace.lane)
        rate = limits.rate if limits is not None else pace.lane
        numbers[row.id] = Number(
            gap_s=rate.gap_ms / 1_000 if rate is not None else 0.0,
            jitter=limits.jitter if limits is not None else 0.0,
            days=days.get(row.id, {}),
            portfolio=(known.portfolio_id or f"number:{row.id}") if known is not None else None,
            quiet=own.quiet_hours,
            warm_up=own.warm_up,
        )
    return numbers


async def _cloud(connection: AsyncConnection, names: Sequence[str]) -> dict[str, Any]:
    query = select(cloud_numbers).where(cloud_numbers.c.instance_id.in_(names))
    return {row.instance_id: row for row in await connection.execute(query)}


async def _opened(
    connection: AsyncConnection, organization_id: UUID, portfolio: str, now: datetime
) -> list[tuple[datetime, int]]:
    minute = func.date_trunc("minute", opened_chats.c.opened_at)
    query = (
        select(minute, func.count())
        .where(
            opened_chats.c.organization_id == organization_id,
            opened_chats.c.portfolio == portfolio,
            opened_chats.c.opened_at > now - _DAY,
        )
        .group_by(minute)
        .order_by(minute)
    )
    return [(row[0], row[1]) for row in await connection.execute(query)]


async def _answered(connection: AsyncConnection, organization_id: UUID, now: datetime) -> float:
    """Return the share of recipients who answered the organization's campaigns; 0 if none was sent lately."""
    query = select(campaigns.c.counts).where(
        campaigns.c.organization_id == organization_id,
        campaigns.c.counts.is_not(None),
        campaigns.c.started_at > now - _HISTORY,
    )
    got = replied = 0
    for counts in (await connection.execute(query)).scalars():
        got += sum(counts.get(name, 0) for name in ("sent", "delivered", "read"))
        replied += counts.get("replied", 0)
    return min(1.0, replied / got) if got else 0.0
