"""Whether a campaign can start: its numbers can send what it says, and there is somebody to write to."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.automations.models import automations
from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.content import Content
from berrante.messaging.campaigns.models import campaign_entries
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.instances.models import instances
from berrante.messaging.messages.bodies import refusal


async def check_automation(
    connection: AsyncConnection, organization_id: UUID, automation_id: UUID, numbers: Sequence[str]
) -> None:
    """Raise ``Invalid`` for an automation that is not there, or is another number's alone."""
    query = select(automations.c.instance_id).where(
        automations.c.organization_id == organization_id, automations.c.id == automation_id
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise Invalid("reply_automation_id", "names no automation of yours", remedy="give the id of one, or null")
    if row.instance_id not in {None, *numbers}:
        problem = f"names an automation of the number {row.instance_id!r} alone"
        raise Invalid("reply_automation_id", problem, remedy="give one of all numbers, or of the campaign's")


class ContentNotSupported(Invalid):
    """The gateway of one of the campaign's numbers does not send messages of this type."""

    code = "content_not_supported"


async def check_ways_out(
    connection: AsyncConnection, organization_id: UUID, numbers: Sequence[str], content: Content
) -> None:
    """Raise ``ContentNotSupported``, or ``Missing`` for a number that is not the organization's."""
    query = select(instances.c.id, instances.c.gateway).where(
        instances.c.organization_id == organization_id, instances.c.id.in_(numbers)
    )
    gateways = {row.id: row.gateway for row in await connection.execute(query)}
    for number in numbers:
        if number not in gateways:
            raise Missing("instance", number)
        for kind, field in content.kinds.items():
            problem = refusal(gateways[number], kind)
            if problem is not None:
                remedy = f"write it as a text, or leave out the number {number!r}"
                raise ContentNotSupported(field, f"cannot be sent by {number!r} ({problem})", remedy=remedy)


async def check_audience(connection: AsyncConnection, campaign: Campaign) -> None:
    """Raise ``Invalid`` for a list that nobody gave; whether anybody is left to write to is not asked."""
    if campaign.audience.segment is not None or campaign.frozen_at is not None:
        return
    if not (
        await connection.execute(select(exists().where(campaign_entries.c.campaign_id == campaign.id)))
    ).scalar_one():
        raise Invalid("audience", "is empty", remedy=f"send a CSV file to POST /v1/campaigns/{campaign.id}/audience")
