"""What a refusal stops, for how long, and whom it leaves alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from berrante.gateways.protocol import Action, Content, Scope, SendError, TemplateContent

#: Shorter rests are kept in the process that learned of them; these are stored, for all processes.
LASTING_MS: Final = 60_000
#: How often a message that is held looks again; long, since there may be thousands.
LOOK_MS: Final = 300_000
LOOK_WITHOUT_END_MS: Final = 60_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Hold:
    """Something that must not be sent now; ``until_ms`` is None for what no waiting ends."""

    what: str
    code: str
    reason: str
    campaigns_only: bool
    until_ms: int | None

    @property
    def stops_number(self) -> bool:
        """Whether nothing at all goes out over the number: its whole lane rests then, and stays in order."""
        return self.what in {"number", "account"} and not self.campaigns_only


def template_hold(name: str, language: str) -> str:
    """Return the name of what holds a template."""
    return f"template:{name}/{language}"


def contact_hold(contact_id: UUID) -> str:
    """Return the name of what holds a contact."""
    return f"contact:{contact_id}"


def holds_on(content: Content, contact_id: UUID) -> list[str]:
    """Return the names of all that could hold a message."""
    names = ["number", "account", "campaigns", contact_hold(contact_id)]
    return [*names, template_hold(content.name, content.language)] if isinstance(content, TemplateContent) else names


def hold_after(error: SendError, *, content: Content | None, contact_id: UUID, now_ms: int) -> Hold | None:
    """Return the lasting hold that a refusal makes; None if it concerns the message alone, or passes soon."""
    for_ms = error.retry_after_ms
    match error.scope:
        case Scope.NUMBER if error.action is Action.HOLD:
            what = "campaigns" if error.campaigns_only else "number"
        case Scope.ACCOUNT if error.action is Action.HOLD:
            what = "account"
        case Scope.TEMPLATE if isinstance(content, TemplateContent):
            what = template_hold(content.name, content.language)
        case Scope.RECIPIENT if error.action is Action.SUPPRESS:
            return Hold(
                what=contact_hold(contact_id), code=error.code, reason=str(error), campaigns_only=True, until_ms=None
            )
        case Scope.RECIPIENT if error.campaigns_only:
            what = contact_hold(contact_id)
        case _:
            return None
    if error.remedy is None and (for_ms is None or for_ms < LASTING_MS):
        return None
    return Hold(
        what=what,
        code=error.code,
        reason=f"{error}: {error.remedy}" if error.remedy else str(error),
        campaigns_only=error.campaigns_only,
        until_ms=None if error.remedy or for_ms is None else now_ms + for_ms,
    )


@dataclass(frozen=True, slots=True)
class Stopped:
    """The contact wants no campaigns: what is planned for it is skipped."""

    reason: str


def standing(holds: Iterable[Hold], *, is_campaign: bool, now_ms: int) -> int | Stopped:
    """Return for how many milliseconds a message rests under these holds (0: it does not), or that it never goes."""
    longest = 0
    for hold in holds:
        if hold.campaigns_only and not is_campaign:
            continue
        is_of_contact = hold.what.startswith("contact:")
        if hold.until_ms is not None:
            left_ms = hold.until_ms - now_ms
            # Nobody lifts a contact's rest before its time: no need to look.
            longest = max(longest, left_ms if is_of_contact else min(left_ms, LOOK_MS))
        elif is_of_contact:
            return Stopped(hold.reason)
        else:
            longest = max(longest, LOOK_WITHOUT_END_MS)
    return longest
