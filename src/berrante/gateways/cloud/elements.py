"""One message or one status of a webhook, read into an event. Shapes: Meta's "messages webhook reference"."""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from berrante.gateways.protocol import IncomingMessage, Receipt, ReceiptStatus

Json = Any  # what msgspec reads from JSON: None, bool, int, float, str, list or dict

#: The kinds of messages that are kept as they came, each under a key of its own name.
_KEPT_TYPES: Final = frozenset(
    {
        "audio",
        "button",
        "contacts",
        "document",
        "image",
        "interactive",
        "location",
        "order",
        "reaction",
        "sticker",
        "video",
    }
)
#: What a message says about itself beside its content: the message it answers, the ad it came from.
_SURROUNDINGS: Final = ("context", "referral")
_STATUSES: Final = {status.value: status for status in ReceiptStatus}

_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_YEAR_2001_S: Final = 1_000_000_000
_YEAR_3000_S: Final = 32_503_680_000
_NUMBER: Final = re.compile(r"\+?([1-9][0-9]{6,14})")
#: A business-scoped user id. Meta, "Business-scoped user IDs": country, a dot, up to 128 letters and digits.
_USER_ID: Final = re.compile(r"[A-Z]{2}(\.ENT)?\.[A-Za-z0-9]{1,128}")
_LONGEST_ID: Final = 512
_KIND: Final = re.compile(r"[A-Za-z0-9_.-]{1,60}")


class NotTaken(Exception):
    """An element that becomes no event; ``kind`` is the name under which it is counted."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


def kind(category: str, name: Json) -> str:
    """Return the name under which something is counted; a name that is none, or too long for one, is ``other``.

    >>> kind("message", "unsupported"), kind("status", 7)
    ('message:unsupported', 'status:other')
    """
    return f"{category}:{name if isinstance(name, str) and _KIND.fullmatch(name) else 'other'}"


def read_message(
    element: Json, *, organization_id: UUID, instance_id: str, names: Mapping[str, str]
) -> IncomingMessage:
    """Return a message; ``names`` are profile names by WhatsApp id. Raises ``NotTaken``."""
    match element:
        case {"id": str(id_), "timestamp": timestamp, "type": str(type_), **fields} if 0 < len(id_) <= _LONGEST_ID:
            sent_at_ms = milliseconds(timestamp)
        case _:
            raise NotTaken("malformed:message")
    if sent_at_ms is None:
        raise NotTaken("malformed:message")
    if type_ != "text" and type_ not in _KEPT_TYPES:
        raise NotTaken(kind("message", type_))
    sender, content = _sender(fields), _content(type_, fields)
    if sender is None or content is None:
        raise NotTaken("malformed:message")
    return IncomingMessage(
        organization_id=organization_id,
        instance_id=instance_id,
        sender=sender,
        message_id=id_,
        sent_at_ms=sent_at_ms,
        content=content,
        sender_name=names.get(sender.removeprefix("+")),
    )


def read_status(element: Json, *, organization_id: UUID, instance_id: str) -> Receipt:
    """Return a receipt. Raises ``NotTaken``."""
    match element:
        case {"id": str(id_), "timestamp": timestamp, "status": str(name), **fields} if 0 < len(id_) <= _LONGEST_ID:
            at_ms = milliseconds(timestamp)
        case _:
            raise NotTaken("malformed:status")
    if at_ms is None:
        raise NotTaken("malformed:status")
    status = _STATUSES.get(name)
    if status is None:
        raise NotTaken(kind("status", name))
    code, error = _reason(fields.get("errors")) if status is ReceiptStatus.FAILED else (None, None)
    wire_id, pricing = fields.get("biz_opaque_callback_data"), fields.get("pricing")
    return Receipt(
        organization_id=organization_id,
        instance_id=instance_id,
        message_id=id_,
        status=status,
        at_ms=at_ms,
        error_code=code,
        error=error,
        wire_id=wire_id if isinstance(wire_id, str) and 0 < len(wire_id) <= _LONGEST_ID else None,
        pricing=pricing if isinstance(pricing, dict) else None,
    )


def read_name(element: Json) -> tuple[str, str] | None:
    """Return a contact's WhatsApp id or user id, and profile name; None if it has no name. Raises ``NotTaken``."""
    match element:
        case {"wa_id": str(id_), "profile": {"name": str(name)}} | {
            "user_id": str(id_),
            "profile": {"name": str(name)},
        }:
            return (id_.removeprefix("+"), name) if name else None
        case {"wa_id": str()} | {"user_id": str()}:
            return None
        case _:
            raise NotTaken("malformed:contact")


def read_error_kind(element: Json) -> str:
    """Return the name under which an error that Meta reports beside messages is counted."""
    code = element.get("code") if isinstance(element, dict) else None
    return kind("error", str(code) if isinstance(code, int) else code)


def _sender(fields: Mapping[Any, Json]) -> str | None:
    """Return who wrote: a number, or where the contact hides it (since 2026) a business-scoped user id."""
    number, user_id = fields.get("from"), fields.get("from_user_id")
    if number is None and isinstance(user_id, str):
        return user_id if _USER_ID.fullmatch(user_id) else None
    match = _NUMBER.fullmatch(number) if isinstance(number, str) else None
    return f"+{match[1]}" if match else None


def _content(type_: str, fields: Mapping[object, Json]) -> dict[str, Json] | None:
    match type_, fields.get(type_):
        case "text", {"body": str(body)}:
            content: dict[str, Json] = {"type": "text", "text": body}
        case "contacts", list(cards):
            content = {"type": "contacts", "contacts": cards}
        case (("text" | "contacts"), _):
            return None
        case _, dict(described):
            content = {"type": type_, type_: described}
        case _:
            return None
    return content | {name: fields[name] for name in _SURROUNDINGS if isinstance(fields.get(name), dict)}


def _reason(errors: Json) -> tuple[str | None, str | None]:
    """Return the code and text of a failure; titles are for people, programs go by the code."""
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return None, None
    code = first.get("code")
    title = first.get("title") or first.get("message")
    data = first.get("error_data")
    details = data.get("details") if isinstance(data, dict) else None
    texts = [text for text in (title, details) if isinstance(text, str) and text]
    return (
        str(code) if isinstance(code, int | str) and not isinstance(code, bool) else None,
        ": ".join(dict.fromkeys(texts)) or None,
    )


def milliseconds(timestamp: Json) -> int | None:
    """Return milliseconds from Meta's seconds, a string or (in some of its examples) a number."""
    text = str(timestamp) if isinstance(timestamp, int | str) and not isinstance(timestamp, bool) else ""
    if not _SECONDS.fullmatch(text):
        return None
    seconds = int(text)
    return seconds * 1_000 if _YEAR_2001_S <= seconds < _YEAR_3000_S else None
