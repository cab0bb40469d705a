"""What to do with an outgoing message, and what to do about an error: decisions without I/O."""

from dataclasses import dataclass
from typing import Final

from berrante.gateways.protocol import Action, Scope, SendError
from berrante.messaging.messages.status import MessageStatus
from berrante.messaging.outbound.policy.pair_rate import strike_delay_ms

#: How long a claim is believed before its worker counts as dead. Longer than any send (``SEND_WITHIN_S``).
LEASE_MS: Final = 30_000
SEND_WITHIN_S: Final = 20.0
HOLD_MS: Final = 30_000
#: A number that went too fast tries again after 1 to 5 seconds.
TOO_FAST_SPREAD_MS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Send:
    """Claim the message and send it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Whether it was sent is not known, and sending again could show it twice."""


@dataclass(frozen=True, slots=True)
class Skip:
    """It is not to be sent any more."""


@dataclass(frozen=True, slots=True)
class Hold:
    """It may be sent later; its campaign brings it back then."""


@dataclass(frozen=True, slots=True)
class Leave:
    """There is nothing to do."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Another worker may be sending it right now."""

    delay_ms: int


Step = Send | Doubt | Skip | Hold | Leave | Wait


def next_step(
    status: MessageStatus,
    *,
    idle_ms: int,
    resend_is_safe: bool,
    called_off: bool,
    second_chance: bool,
    on_hold: bool = False,
) -> Step:
    """Decide what a worker that took the message's job does first.

    ``idle_ms`` is how long ago the row was last changed; ``second_chance`` says that a person retries a message whose
    attempts were exhausted; ``on_hold`` says that its campaign is paused, or that quiet hours began meanwhile.

    >>> next_step(MessageStatus.SENDING, idle_ms=40_000, resend_is_safe=False, called_off=False, second_chance=False)
    Doubt()
    """
    match status:
        case MessageStatus.QUEUED:
            return Skip() if called_off else Hold() if on_hold else Send()
        case MessageStatus.SENDING if idle_ms < LEASE_MS:
            return Wait(min(LEASE_MS, LEASE_MS - idle_ms))  # a clock behind ours must not make us wait for ever
        case MessageStatus.SENDING:
            return Send() if resend_is_safe and not called_off else Doubt()
        case MessageStatus.FAILED if second_chance:
            return Skip() if called_off else Send()
        case _:
            return Leave()


@dataclass(frozen=True, slots=True)
class Charge:
    """The message itself failed and may be tried again: this attempt is used up."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """The message failed for good."""


@dataclass(frozen=True, slots=True)
class Postpone:
    """Try later, without using one of the job's attempts. ``holds`` names all that has to wait with it, if more does.

    ``counted`` says that the row counts it all the same, since there is a limit to how often it is tried.
    """

    delay_ms: int
    holds: Scope | None
    counted: bool = False


Reaction = Charge | GiveUp | Postpone


def react(error: SendError, *, tries: int = 0, strikes: int = 1, chance: float = 0.0) -> Reaction:
    """Decide what a refusal means for the message and for its number or account.

    ``tries`` is how often the message failed before, ``strikes`` how often in a row its contact met this refusal, this
    one included; ``chance`` (0 to 1) spreads a number's sends that were all refused at once.

    >>> react(SendError("slow down", scope=Scope.NUMBER, action=Action.HOLD, code="130429", retry_after_ms=4_000))
    Postpone(delay_ms=4000, holds=<Scope.NUMBER: 'number'>, counted=False)
    """
    if error.action in {Action.DROP, Action.SUPPRESS}:
        return GiveUp()
    if error.most_retries is not None and tries >= error.most_retries:
        return GiveUp()
    if error.action is Action.RETRY and error.scope is Scope.MESSAGE:
        return Charge()
    counted = error.most_retries is not None
    wait_ms = strike_delay_ms(error.retry_after_ms or HOLD_MS, error.growth, tries + 1 if counted else strikes)
    if error.too_fast:
        wait_ms += round(chance * TOO_FAST_SPREAD_MS)
    wide = error.scope in {Scope.NUMBER, Scope.ACCOUNT} and error.action is Action.HOLD and not error.campaigns_only
    return Postpone(wait_ms, error.scope if wide else None, counted)
