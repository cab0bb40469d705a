"""The check that stands at the door of every job: the instance is the organization's own."""

import re
from collections.abc import Collection, Mapping
from typing import Final
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Unrecoverable
from berrante.messaging.instances.models import instances

_ID: Final = re.compile(r"[a-z0-9-]{1,40}")


def is_instance_id(text: str) -> bool:
    """Tell whether the text can name an instance at all: it stands in URLs, job ids and logs.

    >>> is_instance_id("sales-1"), is_instance_id("a:b")
    (True, False)
    """
    return _ID.fullmatch(text) is not None


async def gateway_of(connection: AsyncConnection, *, organization_id: UUID, instance_id: str) -> str:
    """Return the name of the gateway of the organization's own instance.

    Raises ``Unrecoverable`` that names the instance if it is not there or is another organization's.
    """
    query = select(instances.c.organization_id, instances.c.gateway).where(instances.c.id == instance_id)
    row = (await connection.execute(query)).one_or_none() if is_instance_id(instance_id) else None
    if row is None or row.organization_id != organization_id:
        raise refused(organization_id, instance_id, {instance_id: row.organization_id} if row else {})
    gateway: str = row.gateway
    return gateway


async def owners(connection: AsyncConnection, instance_ids: Collection[str]) -> dict[str, UUID]:
    """Return whose each of the instances is, as far as the connection sees any."""
    possible = {instance_id for instance_id in instance_ids if is_instance_id(instance_id)}
    query = select(instances.c.id, instances.c.organization_id).where(instances.c.id.in_(possible))
    return {row.id: row.organization_id for row in await connection.execute(query)}


def refused(organization_id: UUID, instance_id: str, owned: Mapping[str, UUID]) -> Unrecoverable:
    """Return the error of a job whose instance is not its organization's, by what ``owners`` answered."""
    if not is_instance_id(instance_id):
        return Unrecoverable(f"instanceId is {instance_id[:60]!r}: give 1 to 40 of a-z, 0-9 and '-'")
    if instance_id not in owned:
        return Unrecoverable(f"no such instance: {instance_id!r}")
    return Unrecoverable(f"instance {instance_id!r} does not belong to organization {organization_id}")
