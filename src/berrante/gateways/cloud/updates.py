"""What a webhook says beside messages and statuses, read into updates. Shapes: Meta, "Webhooks reference"."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from berrante.gateways.cloud.elements import NotTaken, milliseconds
from berrante.gateways.cloud.elements import kind as kind_of
from berrante.gateways.protocol import NumberUpdate

Json = Any

#: The changes of an account that become updates, and what each is about.
_SUBJECTS: Final[Mapping[str, str]] = {
    "account_alerts": "alert",
    "account_review_update": "review",
    "account_update": "account",
    "business_capability_update": "capability",
    "phone_number_name_update": "name",
    "phone_number_quality_update": "quality",
}
_TEMPLATES: Final = frozenset(
    {"message_template_status_update", "message_template_quality_update", "template_category_update"}
)
_LONGEST_SUBJECT: Final = 700


class Origin:
    """Where a change came from: the instance whose webhook was called, and the account and time that Meta names."""

    def __init__(self, *, organization_id: UUID, instance_id: str, account_id: str | None, at_ms: int) -> None:
        self.organization_id = organization_id
        self.instance_id = instance_id
        self.account_id = account_id
        self.at_ms = at_ms

    def update(self, kind: str, subject: str, details: dict[str, Any], *, at_ms: int | None = None) -> NumberUpdate:
        """Return an update from here."""
        return NumberUpdate(
            organization_id=self.organization_id,
            instance_id=self.instance_id,
            kind=kind,
            subject=subject[:_LONGEST_SUBJECT],
            at_ms=self.at_ms if at_ms is None else at_ms,
            details=details,
            account_id=self.account_id,
        )


def read_change(origin: Origin, field: str, value: Json) -> NumberUpdate | None:
    """Return the update of a change that is not of messages; None if it is of a kind that is only counted."""
    if not isinstance(value, dict):
        return None
    if field in _TEMPLATES:
        name, language = value.get("message_template_name"), value.get("message_template_language")
        if not isinstance(name, str) or not isinstance(language, str):
            return None
        aspect = "" if field == "message_template_status_update" else f":{field}"
        return origin.update(field, f"template:{name}/{language}{aspect}", value)
    subject = _SUBJECTS.get(field)
    if subject is None:
        return None
    # An account's webhook tells of all its numbers: each is a subject of its own.
    shown = value.get("display_phone_number")
    return origin.update(field, f"{subject}:{shown}" if isinstance(shown, str) else subject, value)


def read_preference(origin: Origin, element: Json) -> NumberUpdate:
    """Return what a contact said of marketing messages. Raises ``NotTaken``."""
    match element:
        case {"category": "marketing_messages", "value": "stop" | "resume", **fields}:
            whom = fields.get("wa_id") or fields.get("user_id")
        case {"category": str(category)}:
            raise NotTaken(kind_of("preference", category))
        case _:
            raise NotTaken("malformed:preference")
    if not isinstance(whom, str):
        raise NotTaken("malformed:preference")
    at_ms = milliseconds(element.get("timestamp")) or origin.at_ms
    return origin.update("user_preferences", f"marketing:{whom}", dict(element), at_ms=at_ms)


def read_system(origin: Origin, element: Json) -> NumberUpdate | None:
    """Return the change of a contact's number or identity that a message of type ``system`` tells; None if it is none.

    ``details`` are ``{"from": old, "to": new}`` as WhatsApp wrote them.
    """
    match element:
        case {"type": "system", "system": {"type": str(kind), **told}, "timestamp": timestamp, **fields}:
            old = fields.get("from") or fields.get("from_user_id")
            new = told.get("wa_id") or told.get("new_wa_id") or told.get("user_id")
        case _:
            return None
    at_ms = milliseconds(timestamp)
    if at_ms is None or not isinstance(old, str):
        return None
    return origin.update(
        kind,
        f"identity:{old}",
        {"from": old, "to": new, **{str(name): value for name, value in told.items()}},
        at_ms=at_ms,
    )
