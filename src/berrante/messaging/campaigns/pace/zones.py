"""In which time zone a phone number lives."""

from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from phonenumbers.tzdata import TIMEZONE_DATA, TIMEZONE_LONGEST_PREFIX

_UNKNOWN: Final = "Etc/Unknown"

#: Brazil's area codes that are not on São Paulo's time. libphonenumber's table puts 81 (Recife) on Noronha's, which
#: shares the code, and knows other codes of several zones by all of them; here each has the zone of its capital.
_BRAZIL: Final = {
    "65": "America/Cuiaba",
    "66": "America/Cuiaba",
    "67": "America/Campo_Grande",
    "68": "America/Rio_Branco",
    "69": "America/Porto_Velho",
    "92": "America/Manaus",
    "95": "America/Boa_Vista",
    "97": "America/Manaus",
}
_SAO_PAULO: Final = "America/Sao_Paulo"


def _digits_by_code() -> dict[str, int]:
    found: dict[str, int] = {}
    for prefix in TIMEZONE_DATA:
        found[prefix[:2]] = max(found.get(prefix[:2], 0), len(prefix))
    return found | {"55": 4}


#: How many digits of a number tell its zone, by its first two; two, if they are not here.
DIGITS_BY_CODE: Final = _digits_by_code()


def zone_of(phone: str, *, given: object = None, otherwise: ZoneInfo) -> ZoneInfo:
    """Return the zone of a number of ``+`` and digits.

    ``given`` (what the contact's own field says) comes first, if it names a zone. A number that may be in several
    zones is put in ``otherwise`` if that is one of them, else in the middle one; an unknown one in ``otherwise``.

    >>> zone_of("+5581999990001", otherwise=ZoneInfo("UTC")).key
    'America/Sao_Paulo'
    """
    named = named_zone(given) if isinstance(given, str) else None
    if named is not None:
        return named
    return _located(phone.removeprefix("+")[:TIMEZONE_LONGEST_PREFIX], otherwise)


@lru_cache(maxsize=1_024)
def named_zone(name: str) -> ZoneInfo | None:
    """Return the zone of an IANA name, or None."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=16_384)
def _located(prefix: str, otherwise: ZoneInfo) -> ZoneInfo:
    if prefix.startswith("55"):
        return ZoneInfo(_BRAZIL.get(prefix[2:4], _SAO_PAULO))
    for length in range(len(prefix), 0, -1):
        names = [name for name in TIMEZONE_DATA.get(prefix[:length], ()) if name != _UNKNOWN]
        if otherwise.key in names:
            return otherwise
        if names:
            return ZoneInfo(names[len(names) // 2])
    return otherwise
