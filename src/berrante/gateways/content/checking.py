"""The checks that content makes of itself; limits are Meta's, at which the Cloud API refuses a message."""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

_LONGEST_LINK: Final = 2_048


class ContentInvalid(ValueError):
    """WhatsApp would refuse the content: ``field`` is wrong, and the remedy is in the message."""

    code = "content_invalid"

    def __init__(self, field: str, problem: str, *, remedy: str) -> None:
        super().__init__(f"{field} {problem}: {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy


def text(value: str | None, field: str, *, most: int, least: int = 1) -> None:
    """Refuse a text that has not ``least`` to ``most`` characters, or cannot be written as UTF-8; None passes.

    >>> text("x" * 21, "button.title", most=20)
    Traceback (most recent call last):
    ...
    berrante.gateways.content.checking.ContentInvalid: button.title has 21 characters: give 1 to 20
    """
    if value is None:
        return
    if not least <= len(value) <= most:
        raise ContentInvalid(field, f"has {len(value)} characters", remedy=f"give {least} to {most}")
    if least and not value.strip():
        raise ContentInvalid(field, "is blank", remedy="give text that can be seen")
    if "\0" in value or not _is_unicode(value):
        raise ContentInvalid(field, "has characters that cannot be sent", remedy="leave out U+0000 and lone surrogates")


def number_of(items: Sequence[object], field: str, *, most: int, least: int = 1) -> None:
    """Refuse a list that has not ``least`` to ``most`` items."""
    if not least <= len(items) <= most:
        raise ContentInvalid(field, f"has {len(items)} items", remedy=f"give {least} to {most}")


def distinct(items: Sequence[str], field: str) -> None:
    """Refuse a list in which something stands twice."""
    if len(set(items)) != len(items):
        raise ContentInvalid(field, "are not all different", remedy="give each a value of its own")


def link(value: str | None, field: str) -> None:
    """Refuse an address that Meta's servers cannot fetch from; None passes."""
    if value is None:
        return
    text(value, field, most=_LONGEST_LINK)
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.username
    except ValueError:
        fits = False
    if not fits or any(letter.isspace() for letter in value):
        raise ContentInvalid(field, "is not an address", remedy="give a public https://… address without a user name")


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
