"""What stands between a message and its send: holds, the 24-hour window, turns per person, room in the portfolio."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.gateways.protocol import Action, Content, ContentInvalid, Scope, SendError
from berrante.messaging.clock import milliseconds, moment
from berrante.messaging.messages.content import outgoing
from berrante.messaging.messages.origin import Origin
from berrante.messaging.outbound import allowances, sending_holds
from berrante.messaging.outbound.allowances import Pair, Wish
from berrante.messaging.outbound.policy.conversations import is_open, outside_window
from berrante.messaging.outbound.policy.holding import Hold, Stopped, holds_on, standing

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


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A message that is to be claimed."""

    content: Content
    whom: Whom
    gateway: str

    def answers(self, now_ms: int) -> bool:
        """Tell whether the contact wrote within 24 hours."""
        wrote_at = self.whom.last_wrote_at
        return is_open(milliseconds(wrote_at) if wrote_at else None, now_ms=now_ms)


async def verdicts(connection: AsyncConnection, cases: Sequence[Case], *, now_ms: int) -> list[Verdict]:
    """Decide on messages, and count those that pass, in their order: the same transaction is to claim them then."""
    # Before the holds: what cannot be sent at all is not to wait for days until it says so.
    decided: list[Verdict | None] = [_outside_window(case, now_ms) for case in cases]
    names = {name for case in cases for name in holds_on(case.content, case.whom.pair.contact_id)}
    numbers = {(case.whom.pair.organization_id, case.whom.pair.instance_id) for case in cases}
    standing_ = await sending_holds.on_many(connection, names, of=numbers, now=moment(now_ms)) if cases else {}
    for place, case in enumerate(cases):
        if decided[place] is None:
            pair = case.whom.pair
            mine = set(holds_on(case.content, pair.contact_id))
            holds = [hold for hold in standing_.get((pair.organization_id, pair.instance_id), []) if hold.what in mine]
            decided[place] = _under(holds, case, now_ms)
    # Asked last, of those that nothing else stops: it counts them.
    metered = [place for place, case in enumerate(cases) if decided[place] is None and case.gateway in META_GATEWAYS]
    if metered:
        wishes = [Wish(cases[place].whom.pair, answers=cases[place].answers(now_ms)) for place in metered]
        for place, delay_ms in zip(metered, await allowances.take(connection, wishes, now_ms=now_ms), strict=True):
            decided[place] = Rests(delay_ms) if delay_ms else None
    return [verdict or Passes() for verdict in decided]


def _outside_window(case: Case, now_ms: int) -> Verdict | None:
    if case.gateway not in META_GATEWAYS or case.answers(now_ms):
        return None
    refused = outside_window(case.content)
    return None if refused is None else Refused(refused)


def _under(holds: Sequence[Hold], case: Case, now_ms: int) -> Verdict | None:
    lane = standing((hold for hold in holds if hold.stops_number), is_campaign=False, now_ms=now_ms)
    if isinstance(lane, int) and lane:
        return Rests(lane, of_number=True)
    rest = standing(holds, is_campaign=case.whom.origin is Origin.CAMPAIGN, now_ms=now_ms)
    if isinstance(rest, Stopped):
        return NotWanted(rest.reason)
    return Rests(rest) if rest else None
