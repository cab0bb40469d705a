"""Compares how a number stands with what was told of it last, in the transaction that may have changed it."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ColumnElement, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.baileys.models import baileys_sessions
from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.cloud_numbers.models import cloud_numbers, number_updates
from berrante.messaging.endpoints.emitting import Happening, Told, emit_all, enqueue
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.instance_states.deciding import InstanceState, Standing, standing
from berrante.messaging.instance_states.models import instance_states
from berrante.messaging.instance_states.reports import CONNECTION, NOT_PAIRED, reported
from berrante.messaging.outbound import sending_holds
from berrante.messaging.queues import Queues
from berrante.store import Database

_EVENTS: Final = {
    InstanceState.CONNECTED: EventType.INSTANCE_CONNECTED,
    InstanceState.DISCONNECTED: EventType.INSTANCE_DISCONNECTED,
    InstanceState.RESTRICTED: EventType.INSTANCE_RESTRICTED,
}
# The last lock that a transaction takes, and in order of the numbers: two that meet wait and never deadlock.
_ONE_AT_A_TIME: Final = text("SELECT pg_advisory_xact_lock(hashtextextended('instance_states:' || :id, 0))")


async def become(
    connection: AsyncConnection, now_is: Standing, *, organization_id: UUID, instance_id: str, at: datetime
) -> list[Happening]:
    """Store how a number stands, and return what is to be told: nothing if it stood so before."""
    values = {"state": now_is.state.value, "since": at}
    other = instance_states.c.state != now_is.state.value
    own = (instance_states.c.instance_id == instance_id, instance_states.c.organization_id == organization_id)
    new = insert(instance_states).values(instance_id=instance_id, organization_id=organization_id, **values)
    changed = (
        update(instance_states).where(*own, other).values(values)
        if now_is.state is InstanceState.DISCONNECTED  # what was never connected does not become so
        else new.on_conflict_do_update(index_elements=["instance_id"], set_=values, where=other)
    )
    if (await connection.execute(changed)).rowcount == 0:
        return []
    data: dict[str, Any] = {"instance_id": instance_id, "at": at.isoformat()}
    if now_is.state is not InstanceState.CONNECTED:
        until = None if now_is.until_ms is None else moment(now_is.until_ms).isoformat()
        data |= {"code": now_is.code, "reason": now_is.reason, "until": until}
    return [Happening(organization_id=organization_id, event=_EVENTS[now_is.state], data=data)]


async def review(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, now: datetime
) -> list[Happening]:
    """Look anew at a number of the Cloud API, and at all others of its account, after its holds may have changed."""
    same = await sending_holds.of_same_account(connection, organization_id, instance_id)
    return await _reviewed(connection, cloud_numbers.c.instance_id.in_(same), organization_id=organization_id, now=now)


async def review_all(database: Database, queues: Queues, *, now: datetime) -> int:
    """Tell of numbers whose restriction ended by itself, and of those that lost their pairing unheard; return how many.

    A sidecar that dies while it reports that a number was unlinked has wiped the number's keys before.
    """
    own = (instance_states.c.instance_id, instance_states.c.organization_id)
    restricted = (
        select(*own)
        .join(cloud_numbers, cloud_numbers.c.instance_id == instance_states.c.instance_id)
        .where(instance_states.c.state == InstanceState.RESTRICTED.value)
    )
    unpaired = (
        select(*own)
        .join(baileys_sessions, baileys_sessions.c.instance_id == instance_states.c.instance_id)
        .where(instance_states.c.state == InstanceState.CONNECTED.value, ~baileys_sessions.c.paired)
    )
    locked = (
        select(*own)
        .join(number_updates, number_updates.c.instance_id == instance_states.c.instance_id)
        .where(instance_states.c.state == InstanceState.RESTRICTED.value, number_updates.c.subject == CONNECTION)
        .where(number_updates.c.details["state"].astext == "open")
    )
    async with database.begin() as connection:
        ended = (await connection.execute(restricted)).all()
        open_again = (await connection.execute(locked)).all()
        gone = (await connection.execute(unpaired)).all()
    told: list[Told] = []
    for row in ended:
        async with database.begin() as connection:
            happenings = await review(
                connection, organization_id=row.organization_id, instance_id=row.instance_id, now=now
            )
            told += await emit_all(connection, happenings)
    for row in open_again:
        async with database.begin() as connection:
            happenings = await _looked_at(
                connection, organization_id=row.organization_id, instance_id=row.instance_id, now=now
            )
            told += await emit_all(connection, happenings)
    for row in gone:
        place = {"organization_id": row.organization_id, "instance_id": row.instance_id}
        async with database.begin() as connection:
            told += await emit_all(connection, await become(connection, NOT_PAIRED, **place, at=now))
    await enqueue(queues, told)
    return len(told)


async def _looked_at(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, now: datetime
) -> list[Happening]:
    """Look anew at what a number's sidecar reported last; a report that comes meanwhile waits for us."""
    last = select(number_updates.c.details).where(
        number_updates.c.organization_id == organization_id,
        number_updates.c.instance_id == instance_id,
        number_updates.c.subject == CONNECTION,
    )
    report = (await connection.execute(last.with_for_update())).scalar_one_or_none()
    stands = None if report is None else reported(report, now_ms=milliseconds(now))
    if stands is None:
        return []
    return await become(connection, stands, organization_id=organization_id, instance_id=instance_id, at=now)


async def _reviewed(
    connection: AsyncConnection, which: ColumnElement[bool], *, organization_id: UUID, now: datetime
) -> list[Happening]:
    query = select(cloud_numbers.c.instance_id).where(cloud_numbers.c.organization_id == organization_id, which)
    happenings: list[Happening] = []
    for id_ in (await connection.execute(query.order_by(cloud_numbers.c.instance_id))).scalars().all():
        await connection.execute(_ONE_AT_A_TIME, {"id": id_})
        # Read once the lock is there: it is what the transaction before us left.
        known = select(cloud_numbers.c.access_token.is_not(None).label("has_token"), cloud_numbers.c.quality)
        row = (await connection.execute(known.where(cloud_numbers.c.instance_id == id_))).one()
        holds = await sending_holds.on_number(connection, organization_id=organization_id, instance_id=id_, now=now)
        stands = standing(holds, has_token=row.has_token, quality=row.quality)
        happenings += await become(connection, stands, organization_id=organization_id, instance_id=id_, at=now)
    return happenings
