"""A contact's address: a phone number, or one of the identities that WhatsApp uses where it hides the number.

Each kind has a form of its own, so the text alone says which kind it is:
``+5511999990001`` (phone), ``BR.13491208655302741918`` (a business-scoped user id), ``123456789012@lid``.
"""

import enum
import re
from typing import Final

from berrante.messaging.errors import Invalid
from berrante.messaging.phones import one_spelling, phone_number

_SEPARATORS: Final = re.compile(r"[\s().-]")
_JID: Final = re.compile(r"(?P<user>\d+)(?::\d+)?@(?P<server>s\.whatsapp\.net|c\.us|lid)")
_E164: Final = re.compile(r"\+[1-9]\d{6,14}")
_LID: Final = re.compile(r"[0-9]{5,25}@lid")
#: https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/
_BSUID: Final = re.compile(r"[A-Z]{2}\.[A-Za-z0-9][A-Za-z0-9.]{4,124}")


class AddressKind(enum.StrEnum):
    """What names a contact; ``erased`` is what an erased contact's address is replaced with."""

    PHONE = "phone"
    BSUID = "bsuid"
    LID = "lid"
    ERASED = "erased"


def kind_of(address: str) -> AddressKind:
    """Return the kind of a canonical address.

    >>> kind_of("+5511999990001").value, kind_of("123456789012@lid").value, kind_of("BR.134912086").value
    ('phone', 'lid', 'bsuid')
    """
    if address.startswith("+"):
        return AddressKind.PHONE
    return AddressKind.LID if address.endswith("@lid") else AddressKind.BSUID


def canonical(address: str, *, field: str = "address") -> str:
    """Return the one spelling of an address that WhatsApp, or a producer of jobs, gave.

    Accepts E.164 with or without the plus, with spaces, dots, hyphens and brackets, WhatsApp's own
    ``digits[:device]@s.whatsapp.net``, hidden numbers (``digits@lid``) and business-scoped user ids. A phone number is
    not checked against its country's plan: WhatsApp knows better (``phones.phone_number`` does that). Raises
    ``Invalid`` for anything else: a group, text.

    >>> canonical("558587654321@s.whatsapp.net"), canonical("+55 (11) 99999-0001"), canonical("123456789012:7@lid")
    ('+5585987654321', '+5511999990001', '123456789012@lid')
    """
    written = as_written(address, field=field)
    return one_spelling(written) if written.startswith("+") else written


def checked(address: str, *, field: str = "address") -> str:
    """Return the one spelling of an address that a person or a program gave; numbers must be in their country's plan.

    Raises ``Invalid``.

    >>> checked("+52 55 1234 5678")
    '+5215512345678'
    """
    written = as_written(address, field=field)
    return phone_number(written, field=field) if written.startswith("+") else written


def as_written(address: str, *, field: str = "address") -> str:
    """Return the address as ``canonical`` does, but a phone number with the very digits that were given.

    It is what WhatsApp calls the contact, and what it is to be told when we write back.

    >>> as_written("558587654321@s.whatsapp.net")
    '+558587654321'
    """
    text = address.strip()
    if _BSUID.fullmatch(text):
        return text
    if "@" in text:
        jid = _JID.fullmatch(text)
        if jid is None or not jid["user"].isascii():
            raise Invalid(field, f"{_shown(address)} is not a person's number", remedy="give digits@s.whatsapp.net")
        text = jid["user"]
        if jid["server"] == "lid":
            return _lid(f"{text}@lid", address, field)
    digits = "+" + _SEPARATORS.sub("", text).removeprefix("+")
    if not (digits.isascii() and _E164.fullmatch(digits)):
        raise Invalid(
            field,
            f"{_shown(address)} is not a phone number",
            remedy="give country code and number, 7 to 15 digits, for instance +5511999990001",
        )
    return digits


def _lid(lid: str, given: str, field: str) -> str:
    if not _LID.fullmatch(lid):
        raise Invalid(field, f"{_shown(given)} is no hidden number", remedy="give 5 to 25 digits and @lid")
    return lid


def _shown(address: str) -> str:
    return repr(address if len(address) <= 40 else address[:40] + "…")
