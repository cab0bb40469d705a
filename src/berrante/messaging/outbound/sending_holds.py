"""Holds that last, in the database: known to all processes, and to whoever asks why nothing goes out."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import ARRAY, Row, Text, Uuid, bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.fields import storable
from berrante.messaging.outbound.models import sending_holds
from berrante.messaging.outbound.policy.holding import Hold

# Made once: every send asks it.
_STANDING: Final = select(sending_holds).where(
    sending_holds.c.instance_id == func.any(bindparam("of_instance_ids", type_=ARRAY(Text))),
    sending_holds.c.organization_id == func.any(bindparam("of_organization_ids", type_=ARRAY(Uuid))),
    sending_holds.c.what == func.any(bindparam("names", type_=ARRAY(Text))),
    or_(sending_holds.c.until.is_(None), sending_holds.c.until > bindparam("now")),
)


async def place(
    connection: AsyncConnection, hold: Hold, *, organization_id: UUID, instance_id: str, now: datetime
) -> None:
    """Store a hold; one of the same name is replaced, unless it ends later for the same reason.

    One of an account holds every number of the organization that is known to be of the same WhatsApp account.
    """
    ids = [instance_id]
    if hold.what == "account":
        ids = await of_same_account(connection, organization_id, instance_id)
    rows = [
        {
            "organization_id": organization_id,
            "instance_id": id_,
            "what": storable(hold.what),
            "code": hold.code,
            "reason": storable(hold.reason)[:1_000],
            "campaigns_only": hold.campaigns_only,
            "since": now,
            "until": None if hold.until_ms is None else moment(hold.until_ms),
        }
        for id_ in ids
    ]
    new = insert(sending_holds).values(rows)
    statement = new.on_conflict_do_update(
        index_elements=["instance_id", "what"],
        set_={name: new.excluded[name] for name in ("code", "reason", "campaigns_only", "until")},
        where=or_(
            sending_holds.c.code != new.excluded.code,
            new.excluded.until.is_(None),
            sending_holds.c.until < new.excluded.until,
        ),
    )
    await connection.execute(statement)


async def on(
    connection: AsyncConnection, names: Sequence[str], *, organization_id: UUID, instance_id: str, now: datetime
) -> list[Hold]:
    """Return those of the named holds of a number that stand now."""
    number = (organization_id, instance_id)
    return (await on_many(connection, names, of=[number], now=now)).get(number, [])


async def on_many(
    connection: AsyncConnection, names: Collection[str], *, of: Collection[tuple[UUID, str]], now: datetime
) -> dict[tuple[UUID, str], list[Hold]]:
    """Return those of the named holds that stand now, by organization and number."""
    given = {
        "of_instance_ids": [instance_id for _, instance_id in of],
        "of_organization_ids": list({organization_id for organization_id, _ in of}),
        "names": list(names),
        "now": now,
    }
    found: dict[tuple[UUID, str], list[Hold]] = {}
    for row in await connection.execute(_STANDING, given):
        found.setdefault((row.organization_id, row.instance_id), []).append(_hold(row))
    return found


async def on_number(
    connection: AsyncConnection, *, organization_id: UUID, instance_id: str, now: datetime
) -> list[Hold]:
    """Return all holds of a number that stand now."""
    query = (
        select(sending_holds)
        .where(
            sending_holds.c.organization_id == organization_id,
            sending_holds.c.instance_id == instance_id,
            or_(sending_holds.c.until.is_(None), sending_holds.c.until > now),
        )
        .order_by(sending_holds.c.what)
    )
    return [_hold(row) for row in await connection.execute(query)]


async def lift(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    instance_id: str,
    what: str | None = None,
    codes: Sequence[str] | None = None,
) -> list[str]:
    """End the holds of a number by name or by code, or all; returns the number of each hold that ended.

    One of an account ends for every number of the account. What waits is to be woken after the commit.
    """
    ids = await of_same_account(connection, organization_id, instance_id)
    mine = or_(
        sending_holds.c.instance_id == instance_id,
        (sending_holds.c.what == "account") & sending_holds.c.instance_id.in_(ids),
    )
    statement = delete(sending_holds).where(sending_holds.c.organization_id == organization_id, mine)
    if what is not None:
        statement = statement.where(sending_holds.c.what == what)
    if codes is not None:
        statement = statement.where(sending_holds.c.code.in_(codes))
    return list((await connection.execute(statement.returning(sending_holds.c.instance_id))).scalars())


async def of_same_account(connection: AsyncConnection, organization_id: UUID, instance_id: str) -> list[str]:
    """Return an organization's numbers that are known to be of one WhatsApp account, this one among them."""
    account = (
        select(cloud_numbers.c.business_account_id)
        .where(cloud_numbers.c.organization_id == organization_id, cloud_numbers.c.instance_id == instance_id)
        .scalar_subquery()
    )
    query = select(cloud_numbers.c.instance_id).where(
        cloud_numbers.c.organization_id == organization_id, cloud_numbers.c.business_account_id == account
    )
    found = (await connection.execute(query)).scalars()
    # In one order everywhere: two holds of one account must not wait for each other.
    return sorted({instance_id, *found})


def _hold(row: Row[Any]) -> Hold:
    return Hold(
        what=row.what,
        code=row.code,
        reason=row.reason,
        campaigns_only=row.campaigns_only,
        until_ms=None if row.until is None else milliseconds(row.until),
    )


async def forget_old(connection: AsyncConnection, *, before: datetime) -> int:
    """Delete holds that ended before then."""
    statement = delete(sending_holds).where(func.coalesce(sending_holds.c.until, before) < before)
    return (await connection.execute(statement)).rowcount
