"""A contact's address: E.164 digits with a plus, whatever shape a producer writes it in."""

import re
from typing import Final

from berrante.messaging.errors import Invalid

_SEPARATORS: Final = re.compile(r"[\s().-]")
_JID: Final = re.compile(r"(?P<user>\d+)(?::\d+)?@(?P<server>s\.whatsapp\.net|c\.us)")
_E164: Final = re.compile(r"\+[1-9]\d{6,14}")


def canonical(address: str, *, field: str = "address") -> str:
    """Return the address as ``+digits``.

    Accepts E.164 with or without the plus, with spaces, dots, hyphens and brackets, and WhatsApp's own
    ``digits[:device]@s.whatsapp.net``. Raises ``Invalid`` for anything else: a group, a hidden number (``@lid``), text.

    >>> canonical("5511999990001@s.whatsapp.net"), canonical("+55 (11) 99999-0001")
    ('+5511999990001', '+5511999990001')
    """
    text = address.strip()
    if "@" in text:
        jid = _JID.fullmatch(text)
        if jid is None:
            raise Invalid(field, f"{_shown(address)} is not a person's number", remedy="give digits@s.whatsapp.net")
        text = jid["user"]
    digits = "+" + _SEPARATORS.sub("", text).removeprefix("+")
    if not (digits.isascii() and _E164.fullmatch(digits)):
        raise Invalid(
            field,
            f"{_shown(address)} is not a phone number",
            remedy="give country code and number, 7 to 15 digits, for instance +5511999990001",
        )
    return digits


def _shown(address: str) -> str:
    return repr(address if len(address) <= 40 else address[:40] + "…")
