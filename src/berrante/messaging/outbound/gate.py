"""What stands between a message and its send: holds, the 24-hour window, turns per person, room in the portfolio."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Action, Content, ContentInvalid, Scope, SendError
from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.messages.content import outgoing
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound import allowances, sending_holds
from berrante.messaging.outbound.allowances import Pair
from berrante.messaging.outbound.policy.conversations import is_open, outside_window
from berrante.messaging.outbound.policy.holding import LOOK_MS, Stopped, holds_on, standing

#: The gateways over which Meta's rules for businesses hold; WhatsApp's other ways have rules of their own.
META_GATEWAYS: Final = frozenset({"cloud"})


@dataclass(frozen=True, slots=True)
class Passes:
    """It may be sent now."""


@dataclass(frozen=True, slots=True)
class Rests:
    """Not now; ``of_number`` says that this goes for all messages of the number."""

    delay_ms: int
    of_number: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Never, as it is."""

    error: SendError


@dataclass(frozen=True, slots=True)
class NotWanted:
    """The contact does not want it."""

    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Whom:
    """Whose message it is, to whom, and when the contact last wrote."""

    pair: Pair
    origin: Origin
    last_wrote_at: datetime | None


Verdict = Passes | Rests | Refused | NotWanted


def read(kept: Mapping[str, Any]) -> Content | SendError:
    """Return the content of a stored message, or the refusal of one that cannot be sent."""
    try:
        return outgoing(kept)
    except ContentInvalid as error:
        return SendError(str(error), scope=Scope.MESSAGE, action=Action.DROP, code=error.code)


async def verdict(
    connection: AsyncConnection,
    content: Content,
    whom: Whom,
    *,
    gateway: str,
    now_ms: int,
) -> Verdict:
    """Decide, and count the message if it passes: the same transaction is to claim it then."""
    answers = is_open(milliseconds(whom.last_wrote_at) if whom.last_wrote_at else None, now_ms=now_ms)
    # Before the holds: what cannot be sent at all is not to wait for days until it says so.
    if gateway in META_GATEWAYS:
        refused = None if answers else outside_window(content)
        if refused is not None:
            return Refused(refused)
    holds = await sending_holds.on(
        connection,
        holds_on(content, whom.pair.contact_id),
        organization_id=whom.pair.organization_id,
        instance_id=whom.pair.instance_id,
        now=moment(now_ms),
    )
    lane = standing((hold for hold in holds if hold.stops_number), is_campaign=False, now_ms=now_ms)
    if isinstance(lane, int) and lane:
        return Rests(lane, of_number=True)
    rest = standing(holds, is_campaign=whom.origin is Origin.CAMPAIGN, now_ms=now_ms)
    if isinstance(rest, Stopped):
        return NotWanted(rest.reason)
    if rest:
        return Rests(rest)
    if gateway in META_GATEWAYS:
        return await _allowance(connection, whom, answers=answers, now_ms=now_ms)
    return Passes()


async def _allowance(connection: AsyncConnection, whom: Whom, *, answers: bool, now_ms: int) -> Verdict:
    chat = None if answers else await allowances.chat_with(connection, whom.pair, now_ms=now_ms)
    if chat is not None and not chat.room.fits:
        return Rests(min(chat.room.delay_ms, LOOK_MS))
    delay_ms = await allowances.take_turn(connection, whom.pair, now_ms=now_ms)
    if delay_ms:
        return Rests(delay_ms)
    # Counted last: what has to wait after all is not to use up anybody's room.
    if chat is not None and not chat.is_counted:
        await allowances.open_chat(connection, whom.pair, portfolio=chat.portfolio, now_ms=now_ms)
    return Passes()
