"""What WhatsApp lets a number send to one person, and a portfolio to people who did not write: kept in the database.

Asked within the transaction that claims a message, so that what is counted is what goes out.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.outbound.models import opened_chats, pair_rates
from berrante.messaging.outbound.policy.conversations import WINDOW_MS, Room, room
from berrante.messaging.outbound.policy.pair_rate import Allowed, TooSoon, ask

_WINDOW: Final = timedelta(milliseconds=WINDOW_MS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An organization's number, and one of its contacts."""

    organization_id: UUID
    instance_id: str
    contact_id: UUID


async def take_turn(connection: AsyncConnection, pair: Pair, *, now_ms: int) -> int:
    """Count one more message to a contact; returns 0, or for how many milliseconds there is no turn (not counted)."""
    row = {
        "organization_id": pair.organization_id,
        "instance_id": pair.instance_id,
        "contact_id": pair.contact_id,
        "even_at": moment(now_ms),
    }
    # Written first, so that there is a row to lock: two messages to one person must not both take the last turn.
    new = insert(pair_rates).values(row)
    locked = new.on_conflict_do_update(index_elements=["contact_id"], set_={"even_at": pair_rates.c.even_at})
    even_at = (await connection.execute(locked.returning(pair_rates.c.even_at))).scalar_one()
    match ask(milliseconds(even_at), now_ms=now_ms):
        case TooSoon(delay_ms):
            return delay_ms
        case Allowed(even_ms):
            mine = pair_rates.update().where(pair_rates.c.contact_id == pair.contact_id)
            await connection.execute(mine.values(even_at=moment(even_ms)))
            return 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Chat:
    """One person whom the business writes to first; ``is_counted`` says that it did within the last 24 hours."""

    room: Room
    portfolio: str
    is_counted: bool


async def chat_with(connection: AsyncConnection, pair: Pair, *, now_ms: int) -> Chat:
    """Return whether the portfolio has room for one more person; ``open_chat`` counts it then."""
    query = select(cloud_numbers.c.portfolio_id, cloud_numbers.c.messaging_limit).where(
        cloud_numbers.c.instance_id == pair.instance_id, cloud_numbers.c.organization_id == pair.organization_id
    )
    number = (await connection.execute(query)).one_or_none()
    limit = number.messaging_limit if number is not None else None
    portfolio = (number.portfolio_id if number is not None else None) or f"number:{pair.instance_id}"
    if limit is not None:
        # One at a time per portfolio, until the claim is committed: the limit is exact, whoever asks at once.
        key = func.hashtextextended(f"berrante:{pair.organization_id}:{portfolio}", 0)
        await connection.execute(select(func.pg_advisory_xact_lock(key)))
    since = moment(now_ms) - _WINDOW
    known = select(opened_chats.c.opened_at).where(
        opened_chats.c.contact_id == pair.contact_id, opened_chats.c.opened_at > since
    )
    if (await connection.execute(known)).one_or_none() is not None:
        return Chat(room=Room(fits=True), portfolio=portfolio, is_counted=True)
    if limit is None:
        return Chat(room=Room(fits=True), portfolio=portfolio, is_counted=False)
    counted = select(func.count(), func.min(opened_chats.c.opened_at)).where(
        opened_chats.c.organization_id == pair.organization_id,
        opened_chats.c.portfolio == portfolio,
        opened_chats.c.opened_at > since,
    )
    used, oldest = (await connection.execute(counted)).one()
    answer = room(limit, used=used, oldest_ms=milliseconds(oldest) if oldest else None, now_ms=now_ms)
    return Chat(room=answer, portfolio=portfolio, is_counted=False)


async def open_chat(connection: AsyncConnection, pair: Pair, *, portfolio: str, now_ms: int) -> None:
    """Count a person whom the business writes to first."""
    new = insert(opened_chats).values(
        organization_id=pair.organization_id,
        instance_id=pair.instance_id,
        contact_id=pair.contact_id,
        portfolio=portfolio,
        opened_at=moment(now_ms),
    )
    later = {"opened_at": new.excluded.opened_at, "portfolio": new.excluded.portfolio}
    await connection.execute(new.on_conflict_do_update(index_elements=["contact_id"], set_=later))


async def forget_old(connection: AsyncConnection, *, now: datetime) -> int:
    """Delete what limits nobody any more; returns how many rows."""
    turns = await connection.execute(delete(pair_rates).where(pair_rates.c.even_at < now))
    chats = await connection.execute(delete(opened_chats).where(opened_chats.c.opened_at < now - _WINDOW))
    return turns.rowcount + chats.rowcount
