"""What an update of WhatsApp's means for sending: a decision without I/O. Events: Meta, "Webhooks reference"."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from berrante.messaging.outbound.policy.conversations import limit_of
from berrante.messaging.outbound.policy.holding import Hold, template_hold

#: Events of a template by which it may be sent again.
RESUMED: Final = frozenset({"APPROVED", "REINSTATED", "UNPAUSED"})
_GONE: Final = frozenset({"DISABLED", "REJECTED", "DELETED", "PENDING_DELETION", "LIMIT_EXCEEDED"})
#: The kind of update that tells of a template.
TEMPLATE_UPDATE: Final = "message_template_status_update"
_DISABLED: Final = "account_disabled"
_REVIEW: Final = "account_review"


@dataclass(frozen=True, slots=True)
class Place:
    """Hold something."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class Lift:
    """End what is held under this name, if it was for one of these codes (none given: whatever for)."""

    what: str
    codes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SetLimit:
    """So many people may be written to first in 24 hours; None: without a limit."""

    limit: int | None


@dataclass(frozen=True, slots=True)
class SetQuality:
    """The number's quality, in WhatsApp's word."""

    quality: str | None


@dataclass(frozen=True, slots=True)
class Prefer:
    """A contact stopped, or resumed, marketing messages."""

    contact: str
    wants_marketing: bool


@dataclass(frozen=True, slots=True)
class Stand:
    """The number's sidecar reports what state it is in: how the number stands then depends on the time."""

    report: Mapping[str, Any]


Meaning = Place | Lift | SetLimit | SetQuality | Prefer | Stand


def meaning_of(kind: str, details: Mapping[str, Any]) -> list[Meaning]:
    """Return what to do about an update; an empty list for what is only to be remembered.

    >>> meaning_of("business_capability_update", {"max_daily_conversations_per_business": "TIER_2K"})
    [SetLimit(limit=2000)]
    """
    read = _READERS.get(kind)
    return read(details) if read is not None else []


def _template(details: Mapping[str, Any]) -> list[Meaning]:
    event = str(details.get("event", "")).upper()
    what = template_hold(str(details.get("message_template_name")), str(details.get("message_template_language")))
    reason = details.get("reason")
    because = f" ({reason})" if isinstance(reason, str) and reason not in {"", "NONE"} else ""
    if event in RESUMED:
        return [Lift(what)]
    if event == "PAUSED":
        return [Place(_hold(what, "132015", f"the template is paused until WhatsApp resumes it{because}"))]
    if event in _GONE:
        said = f"the template is {event.lower().replace('_', ' ')}{because}: use another, or change it"
        return [Place(_hold(what, "132016", said, campaigns_only=True))]
    return []


def told_at_first(details: Mapping[str, Any]) -> list[Meaning]:
    """Return what Graph's description of a number means, read when it is connected.

    >>> told_at_first({"quality_rating": "GREEN", "whatsapp_business_manager_messaging_limit": "TIER_250"})
    [SetQuality(quality='GREEN'), SetLimit(limit=250)]
    """
    quality = details.get("quality_rating")
    found: list[Meaning] = [SetQuality(quality[:40])] if isinstance(quality, str) and quality else []
    return found + _limit(details, "whatsapp_business_manager_messaging_limit")


def _quality(details: Mapping[str, Any]) -> list[Meaning]:
    event = details.get("event")
    found: list[Meaning] = [SetQuality(event[:40])] if isinstance(event, str) and event else []
    limits = _limit(details, "max_daily_conversations_per_business", "current_limit")
    # THROUGHPUT_UPGRADE and its kind name a tier of messages a second, which is no number of people.
    return found + (limits if event in {"ONBOARDING", "UPGRADE", "DOWNGRADE", "FLAGGED", "UNFLAGGED"} else [])


def _limit(details: Mapping[str, Any], *names: str) -> list[Meaning]:
    for name in names:
        tier = details.get(name)
        if isinstance(tier, str | int) and not isinstance(tier, bool):
            limit = limit_of(tier)
            is_unlimited = str(tier).upper() in {"TIER_UNLIMITED", "-1"}
            return [SetLimit(limit)] if limit is not None or is_unlimited else []
    return []


def _account(details: Mapping[str, Any]) -> list[Meaning]:
    event = details.get("event")
    ban = details.get("ban_info")
    state = ban.get("waba_ban_state") if isinstance(ban, dict) else None
    if state == "REINSTATE" or event == "ACCOUNT_RECONNECTED":
        return [Lift("account", (_DISABLED,))]
    if state == "DISABLE" or event in {"ACCOUNT_DELETED", "PARTNER_REMOVED", "ACCOUNT_OFFBOARDED"}:
        return [
            Place(_hold("account", _DISABLED, f"WhatsApp closed the account ({state or event}): see WhatsApp Manager"))
        ]
    restrictions = details.get("restriction_info")
    return [
        Place(hold)
        for each in (restrictions if isinstance(restrictions, list) else [])
        if isinstance(each, dict) and (hold := _restriction(each)) is not None
    ]


def _review(details: Mapping[str, Any]) -> list[Meaning]:
    match details.get("decision"):
        case "REJECTED":
            return [Place(_hold("account", _REVIEW, "the account was rejected in review: see WhatsApp Manager"))]
        case "APPROVED":
            return [Lift("account", (_REVIEW,))]
        case _:
            return []


def _capability(details: Mapping[str, Any]) -> list[Meaning]:
    return _limit(details, "max_daily_conversations_per_business", "max_daily_conversation_per_phone")


def _preference(details: Mapping[str, Any]) -> list[Meaning]:
    contact = details.get("wa_id") or details.get("user_id")
    return [Prefer(str(contact), wants_marketing=details.get("value") == "resume")]


def _connection(details: Mapping[str, Any]) -> list[Meaning]:
    return [Stand(details)]


def _restriction(told: Mapping[str, Any]) -> Hold | None:
    kind, expiration = told.get("restriction_type"), told.get("expiration")
    until_ms = expiration * 1_000 if isinstance(expiration, int) and 0 < expiration < 10**11 else None
    if kind == "RESTRICTED_BIZ_INITIATED_MESSAGING":
        return _hold("campaigns", "restricted", "WhatsApp lets the account answer only", until_ms, campaigns_only=True)
    if kind == "RESTRICTED_CUSTOMER_INITIATED_MESSAGING":
        return _hold("account", "restricted", "WhatsApp lets the account send nothing", until_ms)
    return None


def _hold(what: str, code: str, reason: str, until_ms: int | None = None, *, campaigns_only: bool = False) -> Hold:
    return Hold(what=what, code=code, reason=reason, campaigns_only=campaigns_only, until_ms=until_ms)


_READERS: Final[Mapping[str, Callable[[Mapping[str, Any]], list[Meaning]]]] = {
    "account_review_update": _review,
    "account_update": _account,
    "business_capability_update": _capability,
    "connection": _connection,
    TEMPLATE_UPDATE: _template,
    "phone_number_quality_update": _quality,
    "user_preferences": _preference,
}
