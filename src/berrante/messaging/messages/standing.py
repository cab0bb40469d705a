"""What an organization has that its contacts' messages may concern: asked once, so that the rest need not be asked."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.instances.tenancy import is_instance_id

_ASK: Final = text("""
    SELECT coalesce((SELECT jsonb_object_agg(instances.id, instances.gateway) FROM instances
                      WHERE instances.organization_id = CAST(:of AS uuid)
                        AND instances.id = ANY (CAST(:ids AS text[]))), '{}') AS gateways,
           EXISTS (SELECT FROM automations
                    WHERE automations.organization_id = CAST(:of AS uuid) AND enabled) AS has_automations,
           EXISTS (SELECT FROM campaigns WHERE campaigns.organization_id = CAST(:of AS uuid)) AS has_campaigns,
           EXISTS (SELECT FROM campaign_settings
                    WHERE campaign_settings.organization_id = CAST(:of AS uuid)) AS has_settings,
           EXISTS (SELECT FROM webhook_endpoints
                    WHERE webhook_endpoints.organization_id = CAST(:of AS uuid)
                      AND disabled_at IS NULL) AS has_endpoints
""").columns(gateways=JSONB)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """The gateways of those of the asked numbers that are the organization's own, and what else it has at all."""

    gateways: Mapping[str, str]
    has_automations: bool
    has_campaigns: bool
    has_settings: bool
    has_endpoints: bool


async def standing(connection: AsyncConnection, organization_id: UUID, instance_ids: Collection[str]) -> Standing:
    """Return how an organization stands; what it gets after this is not for what was handled already."""
    possible = [instance_id for instance_id in instance_ids if is_instance_id(instance_id)]
    row = (await connection.execute(_ASK, {"of": organization_id, "ids": possible})).one()
    return Standing(**row._mapping)
