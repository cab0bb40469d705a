"""A campaign as the rest of the code sees it, and how it is read."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.audience import Audience
from berrante.messaging.campaigns.content import Content, Shares
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_numbers, campaigns
from berrante.messaging.campaigns.pace import Policy
from berrante.messaging.errors import Missing


class ReplyMode(enum.StrEnum):
    """What a campaign's automation is to those that answer usually: it runs in their place, or first."""

    INSTEAD = "instead"
    BEFORE = "before"


@dataclass(frozen=True, kw_only=True, slots=True)
class Campaign:
    """One campaign; ``numbers`` are instances with weights, the first stands in its job.

    ``reason`` says why it paused itself, or waits. ``counts`` are what was counted last, at ``counted_at``.
    """

    id: UUID
    organization_id: UUID
    instance_id: str
    numbers: tuple[tuple[str, int], ...]
    name: str
    content: Content
    audience: Audience
    pace: Policy
    reply_automation_id: UUID | None
    reply_automation_mode: ReplyMode
    status: Status
    reason: str | None
    start_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    frozen_at: datetime | None
    freeze_cursor: str | None
    positions: int
    counts: Mapping[str, Any] | None
    counted_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def shares(self) -> Shares:
        """How recipients are spread over its numbers."""
        return Shares(self.numbers)


_NUMBERS = (
    select(
        func.jsonb_agg(
            aggregate_order_by(
                func.jsonb_build_array(campaign_numbers.c.instance_id, campaign_numbers.c.weight),
                campaign_numbers.c.place,
            )
        )
    )
    .where(campaign_numbers.c.campaign_id == campaigns.c.id)
    .scalar_subquery()
    .label("numbers")
)


async def load(
    connection: AsyncConnection, *where: ColumnElement[bool], limit: int | None = None, locked: bool = False
) -> list[Campaign]:
    """Return campaigns, newest first; ``locked`` until the transaction ends, against moves and ticks."""
    query = select(campaigns, _NUMBERS).where(*where).order_by(campaigns.c.id.desc()).limit(limit)
    if locked:
        query = query.with_for_update(of=campaigns, key_share=True)
    return [campaign_of(row) for row in await connection.execute(query)]


async def owned(
    connection: AsyncConnection, organization_id: UUID, campaign_id: UUID, *, locked: bool = False
) -> Campaign:
    """Return an organization's own campaign; raises ``Missing``."""
    own = (campaigns.c.organization_id == organization_id, campaigns.c.id == campaign_id)
    found = await load(connection, *own, locked=locked)
    if not found:
        raise Missing("campaign", campaign_id)
    return found[0]


def told_of(campaign: Campaign) -> dict[str, str]:
    """Return what an organization's programs are told of a campaign with its events."""
    return {"campaign_id": str(campaign.id), "instance_id": campaign.instance_id, "name": campaign.name}


def campaign_of(row: Row[Any]) -> Campaign:
    """Return the campaign of a row with its numbers."""
    values = dict(row._mapping)
    return Campaign(
        **{
            **values,
            "numbers": tuple((name, weight) for name, weight in values["numbers"] or []),
            "content": Content.read(values["content"], organization_id=values["organization_id"]),
            "audience": Audience.read(values["audience"]),
            "pace": Policy.read(values["pace"]),
            "reply_automation_mode": ReplyMode(values["reply_automation_mode"]),
            "status": Status(values["status"]),
        }
    )
