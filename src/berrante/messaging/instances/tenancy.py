"""The check that stands at the door of every job: the instance is the organization's own."""

import re
from collections.abc import Collection
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Text, bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.engine import Unrecoverable
from berrante.messaging.instances.models import instances

_ID: Final = re.compile(r"[a-z0-9-]{1,40}")
# Made once: jobs ask one of them.
_GATEWAY: Final = select(instances.c.organization_id, instances.c.gateway).where(instances.c.id == bindparam("of"))
_OWNERS: Final = select(instances.c.id, instances.c.organization_id, instances.c.gateway).where(
    instances.c.id == func.any(bindparam("ids", type_=ARRAY(Text)))
)


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
    of = {"of": instance_id}
    row = (await connection.execute(_GATEWAY, of)).one_or_none() if is_instance_id(instance_id) else None
    if row is None or row.organization_id != organization_id:
        raise refused(organization_id, instance_id, is_there=row is not None)
    gateway: str = row.gateway
    return gateway


async def owners_of(connection: AsyncConnection, instance_ids: Collection[str]) -> dict[str, tuple[UUID, str]]:
    """Return the organization and the name of the gateway of each of those instances that are there."""
    possible = {instance_id for instance_id in instance_ids if is_instance_id(instance_id)}
    rows = await connection.execute(_OWNERS, {"ids": list(possible)})
    return {row.id: (row.organization_id, row.gateway) for row in rows}


async def is_known(connection: AsyncConnection, instance_id: str) -> bool:
    """Tell whether there is such an instance, of whatever organization that the connection sees."""
    query = select(instances.c.id).where(instances.c.id == instance_id)
    return is_instance_id(instance_id) and (await connection.execute(query)).one_or_none() is not None


def refused(organization_id: UUID, instance_id: str, *, is_there: bool) -> Unrecoverable:
    """Return the error of a job whose instance is not its organization's; ``is_there`` if it is another's."""
    if not is_instance_id(instance_id):
        return Unrecoverable(f"instanceId is {instance_id[:60]!r}: give 1 to 40 of a-z, 0-9 and '-'")
    if not is_there:
        return Unrecoverable(f"no such instance: {instance_id!r}")
    return Unrecoverable(f"instance {instance_id!r} does not belong to organization {organization_id}")
