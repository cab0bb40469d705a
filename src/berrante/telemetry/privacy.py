"""Keeps out of the log what has no business there: whole phone numbers, passwords, message texts."""

import re
from typing import Any, Final

from structlog.typing import EventDict, WrappedLogger

_PHONE: Final = re.compile(r"\+\d{7,15}\b")
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*(?=@)")
_SECRET_NAMES: Final = ("password", "secret", "token", "api_key", "authorization")
#: Where SQLAlchemy begins to show the statement and its parameters, so what a contact wrote.
_STATEMENT: Final = "\n[SQL:"


def masked(address: str) -> str:
    """Return a phone number with its middle left out.

    >>> masked("+5511987654321")
    '+55…4321'
    """
    return f"{address[:3]}…{address[-4:]}" if len(address) > 7 else "…"


def scrubbed(text: str) -> str:
    """Return the text without phone numbers, credentials in addresses, and SQL with its parameters.

    >>> scrubbed("redis://:pw@host: +5511987654321 is away")
    'redis://***@host: +55…4321 is away'
    """
    text = _CREDENTIALS.sub("***", text.partition(_STATEMENT)[0])
    return _PHONE.sub(lambda found: masked(found[0]), text)


def scrub(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Scrub every field of a log event (a structlog processor)."""
    return {name: _value(name, value) for name, value in event.items()}


def _value(name: str, value: Any) -> Any:  # noqa: ANN401  any field of any event
    if any(word in name for word in _SECRET_NAMES):
        return "***"
    return scrubbed(value) if isinstance(value, str) else value
