"""What WhatsApp lets a number send to one person, and a portfolio to people who did not write: kept in the database.

Asked within the transaction that claims messages, so that what is counted is what goes out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import ARRAY, Text, Uuid, bindparam, delete, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.cloud_numbers.models import cloud_numbers
from berrante.messaging.outbound.models import opened_chats, pair_rates
from berrante.messaging.outbound.policy.conversations import WINDOW_MS, room
from berrante.messaging.outbound.policy.holding import LOOK_MS
from berrante.messaging.outbound.policy.pair_rate import Allowed, TooSoon, ask

_WINDOW: Final = timedelta(milliseconds=WINDOW_MS)

# Made once: every send asks them.
_NUMBERS: Final = select(
    cloud_numbers.c.organization_id,
    cloud_numbers.c.instance_id,
    cloud_numbers.c.portfolio_id,
    cloud_numbers.c.messaging_limit,
).where(
    cloud_numbers.c.instance_id == func.any(bindparam("instance_ids", type_=ARRAY(Text))),
    cloud_numbers.c.organization_id == func.any(bindparam("organization_ids", type_=ARRAY(Uuid))),
)
_OPENED: Final = text(
    "SELECT contact_id FROM opened_chats WHERE contact_id = ANY (CAST(:ids AS uuid[])) AND opened_at > :since"
)
# Rows of ``unnest`` are written, and so locked, in their order.
_LOCK_TURNS: Final = text("""
    INSERT INTO pair_rates (organization_id, instance_id, contact_id, even_at)
    SELECT given.*, CAST(:now AS timestamptz)
      FROM unnest(CAST(:organization_ids AS uuid[]), CAST(:instance_ids AS text[]),
                  CAST(:contact_ids AS uuid[])) AS given
        ON CONFLICT (contact_id) DO UPDATE SET even_at = pair_rates.even_at
    RETURNING contact_id, even_at
""")
_STORE_TURNS: Final = text("""
    UPDATE pair_rates p SET even_at = given.even_at
      FROM unnest(CAST(:contact_ids AS uuid[]), CAST(:even_ats AS timestamptz[])) AS given (contact_id, even_at)
     WHERE p.contact_id = given.contact_id
""")
_OPEN: Final = text("""
    INSERT INTO opened_chats (organization_id, instance_id, contact_id, portfolio, opened_at)
    SELECT given.*, CAST(:now AS timestamptz)
      FROM unnest(CAST(:organization_ids AS uuid[]), CAST(:instance_ids AS text[]), CAST(:contact_ids AS uuid[]),
                  CAST(:portfolios AS text[])) AS given
        ON CONFLICT (contact_id) DO UPDATE SET opened_at = excluded.opened_at, portfolio = excluded.portfolio
""")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """An organization's number, and one of its contacts."""

    organization_id: UUID
    instance_id: str
    contact_id: UUID


@dataclass(frozen=True, slots=True)
class Wish:
    """One more message to a contact; ``answers`` if that wrote within 24 hours."""

    pair: Pair
    answers: bool


async def take(connection: AsyncConnection, wishes: Sequence[Wish], *, now_ms: int) -> list[int]:
    """Count messages in their order; returns 0 for each that may go, or for how many ms it may not (not counted).

    A contact has to have a turn; one that did not write needs room among the people whom its portfolio may write to
    first.
    """
    delays = [0] * len(wishes)
    opened = await _take_rooms(connection, wishes, delays, now_ms=now_ms)
    # Asked of those alone that have room: what has to wait after all is to use up nothing.
    pairs = [wish.pair for wish, delay_ms in zip(wishes, delays, strict=True) if not delay_ms]
    even_ms = await _turns(connection, pairs, now_ms=now_ms)
    taken: dict[UUID, int] = {}
    for place, wish in enumerate(wishes):
        contact_id = wish.pair.contact_id
        if not delays[place]:
            match ask(taken.get(contact_id, even_ms[contact_id]), now_ms=now_ms):
                case TooSoon(delay_ms):
                    delays[place] = delay_ms
                case Allowed(even):
                    taken[contact_id] = even
    await _store_turns(connection, taken)
    await _open(connection, {pair: name for pair, name in opened.items() if pair.contact_id in taken}, now_ms=now_ms)
    return delays


async def _take_rooms(
    connection: AsyncConnection, wishes: Sequence[Wish], delays: list[int], *, now_ms: int
) -> dict[Pair, str]:
    """Return who is to be counted, and for which portfolio; says in ``delays`` who has no room."""
    strangers = [wish.pair for wish in wishes if not wish.answers]
    rooms = await _rooms(connection, strangers, now_ms=now_ms)
    known = await _opened(connection, strangers, since=moment(now_ms) - _WINDOW)
    opened: dict[Pair, str] = {}
    for place, wish in enumerate(wishes):
        if wish.answers or wish.pair.contact_id in known or wish.pair in opened:
            continue
        portfolio, limit = rooms[wish.pair.organization_id, wish.pair.instance_id]
        left = room(limit, used=portfolio.used, oldest_ms=portfolio.oldest_ms, now_ms=now_ms)
        if left.fits:
            opened[wish.pair] = portfolio.name
            portfolio.used += 1
        else:
            delays[place] = min(left.delay_ms, LOOK_MS)
    return opened


@dataclass(kw_only=True, slots=True)
class _Portfolio:
    """How many people its numbers wrote to first within 24 hours, if any of them has a limit; the earliest when."""

    organization_id: UUID
    name: str
    used: int = 0
    oldest_ms: int | None = None


async def _rooms(
    connection: AsyncConnection, strangers: Sequence[Pair], *, now_ms: int
) -> dict[tuple[UUID, str], tuple[_Portfolio, int | None]]:
    """Return the portfolio and the limit of each number, by its organization and id; what has a limit is locked."""
    if not strangers:
        return {}
    numbers = {(pair.organization_id, pair.instance_id) for pair in strangers}
    given = {
        "organization_ids": list({organization_id for organization_id, _ in numbers}),
        "instance_ids": [instance_id for _, instance_id in numbers],
    }
    rows = {(row.organization_id, row.instance_id): row for row in await connection.execute(_NUMBERS, given)}
    portfolios: dict[tuple[UUID, str], _Portfolio] = {}
    limited: set[tuple[UUID, str]] = set()
    found = {}
    for number in numbers:
        organization_id, instance_id = number
        limit = rows[number].messaging_limit if number in rows else None
        name = (rows[number].portfolio_id if number in rows else None) or f"number:{instance_id}"
        key = (organization_id, name)
        portfolio = portfolios.setdefault(key, _Portfolio(organization_id=organization_id, name=name))
        if limit is not None:
            limited.add(key)
        found[number] = (portfolio, limit)
    # In one order everywhere: two rounds must not wait for each other's portfolios.
    for key in sorted(limited):
        await _count(connection, portfolios[key], now_ms=now_ms)
    return found


async def _count(connection: AsyncConnection, portfolio: _Portfolio, *, now_ms: int) -> None:
    # One at a time per portfolio, until the claims are committed: the limit is exact, whoever asks at once.
    key = func.hashtextextended(f"berrante:{portfolio.organization_id}:{portfolio.name}", 0)
    await connection.execute(select(func.pg_advisory_xact_lock(key)))
    counted = select(func.count(), func.min(opened_chats.c.opened_at)).where(
        opened_chats.c.organization_id == portfolio.organization_id,
        opened_chats.c.portfolio == portfolio.name,
        opened_chats.c.opened_at > moment(now_ms) - _WINDOW,
    )
    portfolio.used, oldest = (await connection.execute(counted)).one()
    portfolio.oldest_ms = milliseconds(oldest) if oldest else None


async def _opened(connection: AsyncConnection, strangers: Sequence[Pair], *, since: datetime) -> set[UUID]:
    """Return those that were written to within the last 24 hours: they are counted."""
    if not strangers:
        return set()
    given = {"ids": list({pair.contact_id for pair in strangers}), "since": since}
    return set((await connection.execute(_OPENED, given)).scalars())


async def _turns(connection: AsyncConnection, pairs: Sequence[Pair], *, now_ms: int) -> dict[UUID, int]:
    """Lock the contacts' turns, and return until when each has used them up.

    Written first, so that there is a row to lock: two messages to one person must not both take the last turn.
    """
    if not pairs:
        return {}
    rows = sorted(set(pairs), key=lambda pair: pair.contact_id)
    given = {
        "organization_ids": [pair.organization_id for pair in rows],
        "instance_ids": [pair.instance_id for pair in rows],
        "contact_ids": [pair.contact_id for pair in rows],
        "now": moment(now_ms),
    }
    return {row.contact_id: milliseconds(row.even_at) for row in await connection.execute(_LOCK_TURNS, given)}


async def _store_turns(connection: AsyncConnection, even_ms: Mapping[UUID, int]) -> None:
    if even_ms:
        given = {"contact_ids": list(even_ms), "even_ats": [moment(even) for even in even_ms.values()]}
        await connection.execute(_STORE_TURNS, given)


async def _open(connection: AsyncConnection, opened: Mapping[Pair, str], *, now_ms: int) -> None:
    """Count people whom a business writes to first."""
    if not opened:
        return
    rows = sorted(opened, key=lambda pair: pair.contact_id)
    given = {
        "organization_ids": [pair.organization_id for pair in rows],
        "instance_ids": [pair.instance_id for pair in rows],
        "contact_ids": [pair.contact_id for pair in rows],
        "portfolios": [opened[pair] for pair in rows],
        "now": moment(now_ms),
    }
    await connection.execute(_OPEN, given)


async def forget_old(connection: AsyncConnection, *, now: datetime) -> int:
    """Delete what limits nobody any more; returns how many rows."""
    turns = await connection.execute(delete(pair_rates).where(pair_rates.c.even_at < now))
    chats = await connection.execute(delete(opened_chats).where(opened_chats.c.opened_at < now - _WINDOW))
    return turns.rowcount + chats.rowcount
