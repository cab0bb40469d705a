"""WhatsApp's refusals by Meta's code, with the scope and action of each.

Codes and meanings: Meta, "Cloud API error codes". Reactions are this project's: three rules made the table. A refusal
has a scope, and stops no more than that; an attempt is charged only when the message itself failed; what no waiting
mends says what a person has to do.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

from berrante.gateways.protocol import Action, Scope, SendError

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS


@dataclass(frozen=True, kw_only=True, slots=True)
class Refusal:
    """One of WhatsApp's ways to say no; the fields are those of ``SendError``."""

    scope: Scope
    action: Action
    text: str
    retry_after_ms: int | None = None
    growth: int = 1
    most_retries: int | None = None
    campaigns_only: bool = False
    remedy: str | None = None
    too_fast: bool = False

    def error(self, code: str, *, text: str | None = None, retry_after_ms: int | None = None) -> SendError:
        """Return a fresh error; ``text`` and ``retry_after_ms`` are what the other side said this time."""
        given = asdict(self)
        message = text or given.pop("text")
        given.pop("text", None)
        return SendError(message, code=code, **given | ({"retry_after_ms": retry_after_ms} if retry_after_ms else {}))


def _message(text: str, action: Action = Action.DROP, *, most_retries: int | None = None) -> Refusal:
    return Refusal(scope=Scope.MESSAGE, action=action, text=text, most_retries=most_retries)


def _recipient(text: str, action: Action = Action.DROP) -> Refusal:
    return Refusal(scope=Scope.RECIPIENT, action=action, text=text)


def _template_gone(text: str, remedy: str) -> Refusal:
    # An API call that names such a template fails at once; campaigns keep their recipients until somebody mends it.
    return Refusal(scope=Scope.TEMPLATE, action=Action.DROP, text=text, campaigns_only=True, remedy=remedy)


def _number_needs(text: str, remedy: str) -> Refusal:
    return Refusal(scope=Scope.NUMBER, action=Action.HOLD, text=text, remedy=remedy)


def _account_needs(text: str, remedy: str) -> Refusal:
    return Refusal(scope=Scope.ACCOUNT, action=Action.HOLD, text=text, remedy=remedy)


def _account_rests(text: str) -> Refusal:
    return Refusal(scope=Scope.ACCOUNT, action=Action.HOLD, text=text, retry_after_ms=_HOUR_MS)


_NEW_TOKEN: Final = "give the number a new access token"  # noqa: S105  a sentence
_REGISTER: Final = "register the number again in WhatsApp Manager"

REFUSALS: Final[Mapping[str, Refusal]] = {
    # The message itself: tried again, or wrong for good.
    "1": _message("Meta's API had an error", Action.RETRY),
    "2": _message("Meta's API is overloaded or down", Action.RETRY),
    "131000": _message("Something went wrong", Action.RETRY),
    "131016": _message("Meta's service is overloaded", Action.RETRY),
    "132069": _message("Flow is throttled", Action.RETRY),
    "131053": _message("Media could not be uploaded", Action.RETRY, most_retries=2),
    "100": _message("A parameter is invalid or missing"),
    "131008": _message("A required parameter is missing"),
    "131009": _message("A parameter's value is not valid"),
    "131051": _message("Message type is not supported"),
    "131052": _message("Media could not be downloaded from its link: upload it again"),
    "132000": _message("The number of template variables is wrong"),
    "132005": _message("The filled template is too long"),
    "132012": _message("A template variable has the wrong form"),
    "132018": _message("Template variables are not valid"),
    "132068": _message("Flow is blocked"),
    # The recipient.
    "131056": Refusal(
        scope=Scope.RECIPIENT, action=Action.RETRY, text="Pair rate limit hit", retry_after_ms=1_000, growth=4
    ),
    "131049": Refusal(
        scope=Scope.RECIPIENT,
        action=Action.RETRY,
        text="Not delivered, to keep the ecosystem healthy: this person gets much marketing",
        retry_after_ms=24 * _HOUR_MS,
        growth=2,
        most_retries=2,
        campaigns_only=True,
    ),
    "131050": _recipient("User stopped marketing messages", Action.SUPPRESS),
    "131047": _recipient("More than 24 hours since the contact last wrote: send a template"),
    "131026": _recipient("Message undeliverable"),
    "130472": _recipient("User is part of an experiment of Meta's"),
    "130497": _recipient("Business may not write to people of this country"),
    "131021": _recipient("Sender and recipient are the same number"),
    "131062": _recipient("Message of this kind needs the phone number, not a user id"),
    # The template.
    "132015": Refusal(scope=Scope.TEMPLATE, action=Action.HOLD, text="Template is paused", retry_after_ms=3 * _HOUR_MS),
    "132001": _template_gone("Template does not exist in this language", "make the template, or name another"),
    "132007": _template_gone("Template breaks a policy", "change the template and have it approved"),
    "132016": _template_gone("Template is disabled", "use another template"),
    # The number.
    "130429": Refusal(
        scope=Scope.NUMBER, action=Action.HOLD, text="Rate limit hit", retry_after_ms=1_000, too_fast=True
    ),
    "131048": Refusal(
        scope=Scope.NUMBER,
        action=Action.HOLD,
        text="Spam rate limit hit",
        retry_after_ms=24 * _HOUR_MS,
        campaigns_only=True,
    ),
    "131057": Refusal(
        scope=Scope.NUMBER, action=Action.RETRY, text="Number is in maintenance", retry_after_ms=_MINUTE_MS
    ),
    "133016": Refusal(
        scope=Scope.NUMBER, action=Action.HOLD, text="Too many registrations", retry_after_ms=72 * _HOUR_MS
    ),
    "33": Refusal(scope=Scope.NUMBER, action=Action.DROP, text="The business phone number was deleted"),
    "131037": _number_needs("Display name is not approved", "have the display name approved in WhatsApp Manager"),
    "131045": _number_needs("Number's certificate is wrong", _REGISTER),
    "133010": _number_needs("Number is not registered", _REGISTER),
    # The account, and the access to it.
    "4": _account_rests("App's call limit hit"),
    "80007": _account_rests("Account's call limit hit"),
    "131042": _account_needs("Payment problem", "mend the payment method in Meta's billing settings"),
    "131031": _account_needs("Account is locked", "read the reason in WhatsApp Manager and appeal there"),
    "368": _account_needs("Account is restricted for policy reasons", "read the reason in WhatsApp Manager"),
    "131005": _account_needs("Access denied", "give the token the permission whatsapp_business_messaging"),
    "0": _account_needs("Access token is not accepted", _NEW_TOKEN),
    "190": _account_needs("Access token has expired", _NEW_TOKEN),
    "3": _account_needs("App may not make this call", "give the app the capability, then a new access token"),
    "10": _account_needs("Permission is missing", "give the token the permission whatsapp_business_messaging"),
}
_PERMISSIONS: Final = range(200, 300)
_REGISTRATION: Final = range(133_000, 133_016)


def known(code: str) -> Refusal | None:
    """Return what a code means, or None if it is of no table.

    >>> known("131048").campaigns_only, known("204").scope.value, known("999999")
    (True, 'account', None)
    """
    if code in REFUSALS or not code.isdecimal():
        return REFUSALS.get(code)
    if int(code) in _PERMISSIONS:
        return REFUSALS["10"]
    if int(code) in _REGISTRATION:
        return REFUSALS["133010"]
    return None


def refusal(code: str) -> SendError:
    """Return the error of a code of ``REFUSALS``; raises ``KeyError`` for another.

    >>> refusal("130429").action
    <Action.HOLD: 'hold'>
    """
    return REFUSALS[code].error(code)


def refused(code: str, text: str | None = None, *, retry_after_ms: int | None = None) -> SendError:
    """Return the error of any code that Meta answers.

    An unknown one means that this message was not sent, and no more: it is tried again a few times, then people see it.
    """
    refusal = known(code) or _message("WhatsApp refused the message", Action.RETRY)
    return refusal.error(code, text=text, retry_after_ms=retry_after_ms)
