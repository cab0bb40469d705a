"""Phone numbers: one spelling per person, whatever spelling a list, a person or WhatsApp itself uses.

A number that WhatsApp told us of exists, whatever we think of it: ``one_spelling`` never refuses one. A number that a
person or a file gives may be mistyped: ``phone_number`` checks it against the numbering plan of its country.
"""

import re
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat

from berrante.messaging.errors import Invalid

_LONGEST: Final = 40  # characters; a number with all its brackets is shorter
_EXAMPLE: Final = "for instance +5511999990001"

#: An old Brazilian mobile number: an area code that exists (Anatel), then eight digits of which the first is 6 to 9.
#: Since 2016 they have nine digits in all areas, the first a 9. Landlines begin with 2 to 5.
_BRAZIL_WITHOUT_9: Final = re.compile(
    r"\+55(?P<area>1[1-9]|2[12478]|3[1-578]|4[1-9]|5[1345]|6[1-9]|7[134579]|8[1-9]|9[1-9])(?P<number>[6-9][0-9]{7})"
)
#: Mexico dropped the 1 of mobile numbers in 2019; WhatsApp still has it.
_MEXICO_WITHOUT_1: Final = re.compile(r"\+52(?P<number>[2-9][0-9]{9})")
_MEXICO_WITH_1: Final = re.compile(r"\+521(?P<number>[2-9][0-9]{9})")
#: Argentina's mobiles: 9 and area code from abroad, which is WhatsApp's form; area code and 15 at home.
_ARGENTINA_WITH_15: Final = re.compile(r"\+54[1-9][0-9]{1,3}15[0-9]{6,8}")

_SEPARATORS: Final = re.compile(r"[ ().-]")

_PROBLEMS: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: "begins with no country code",
    NumberParseException.NOT_A_NUMBER: "is not a phone number",
    NumberParseException.TOO_SHORT_AFTER_IDD: "is too short",
    NumberParseException.TOO_SHORT_NSN: "is too short",
    NumberParseException.TOO_LONG: "is too long",
}
_ODD_LENGTHS: Final = {
    phonenumbers.ValidationResult.TOO_SHORT: "is too short for its country",
    phonenumbers.ValidationResult.TOO_LONG: "is too long for its country",
    phonenumbers.ValidationResult.INVALID_LENGTH: "has a length that its country does not use",
}


def one_spelling(number: str) -> str:
    """Return the spelling under which a number of ``+`` and digits is kept; only three countries have more than one.

    Brazil with the ninth digit, Mexico with WhatsApp's 1, Argentina with WhatsApp's 9 in place of 15.

    >>> one_spelling("+558587654321"), one_spelling("+525512345678"), one_spelling("+54111523456789")
    ('+5585987654321', '+5215512345678', '+5491123456789')
    >>> one_spelling("+551133334444")
    '+551133334444'
    """
    if number.startswith("+55"):
        old = _BRAZIL_WITHOUT_9.fullmatch(number)
        if old:
            return f"+55{old['area']}9{old['number']}"
    elif number.startswith("+52"):
        bare = _MEXICO_WITHOUT_1.fullmatch(number)
        if bare:
            return f"+521{bare['number']}"
    elif _ARGENTINA_WITH_15.fullmatch(number):
        try:
            return _e164(phonenumbers.parse(number))
        except NumberParseException:
            return number
    return number


def phone_number(text: str, *, field: str = "phone", country: str | None = None) -> str:
    """Return a number that a person or a file gave, as it is kept; raises ``Invalid`` that says what is wrong with it.

    Without ``country`` (two letters) the number needs its country code; the plus may be left out. With one, numbers
    may also be written as at home.

    >>> phone_number("(11) 98765-4321", country="BR"), phone_number("55 85 8765-4321")
    ('+5511987654321', '+5585987654321')
    """
    if len(text) > _LONGEST or not text.isascii():
        raise _refusal(field, text, "is not a phone number")
    text = text.strip()
    if text.startswith("+"):
        return _straight(text) or _checked(text, text, field=field)
    if text.startswith("00"):
        return _checked("+" + text[2:], text, field=field)
    if country is not None:
        at_home = _at_home(text, country)
        if at_home is not None:
            return at_home
    return _checked("+" + text, text, field=field)


def country_code(text: str, *, field: str = "country") -> str:
    """Return a country's two letters, as the numbering plans have them; raises ``Invalid``."""
    code = text.strip().upper()
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise Invalid(field, f"is {text[:20]!r}", remedy="give two letters of ISO 3166, for instance BR")
    return code


def _straight(text: str) -> str | None:
    """Return the number if it is valid just as its digits stand, which takes half of what parsing takes."""
    digits = _SEPARATORS.sub("", text[1:])
    if not digits.isdigit():
        return None
    for length in (1, 2, 3):
        code = int(digits[:length])
        if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE:
            rest = digits[length:]
            # A leading zero is part of the number in Italy, and a prefix to leave out elsewhere: parsing knows.
            if not 4 <= len(rest) <= 15 or rest[0] == "0":
                return None
            return _valid(PhoneNumber(country_code=code, national_number=int(rest)))
    return None


def _at_home(text: str, country: str) -> str | None:
    try:
        parsed = phonenumbers.parse(text, country)
    except NumberParseException:
        return None
    return _valid(parsed)


def _checked(international: str, given: str, *, field: str) -> str:
    try:
        parsed = phonenumbers.parse(international)
    except NumberParseException as error:
        raise _refusal(field, given, _PROBLEMS.get(error.error_type, "is not a phone number")) from error
    if parsed.extension:
        raise _refusal(field, given, "has an extension")
    number = _valid(parsed)
    if number is not None:
        return number
    problem = _ODD_LENGTHS.get(phonenumbers.is_possible_number_with_reason(parsed), "is of no range in use there")
    raise _refusal(field, given, problem)


def _valid(parsed: PhoneNumber) -> str | None:
    """Return the number's one spelling, or None if its country's plan has no such number."""
    given = _e164(parsed)
    number = one_spelling(given)
    mexican = _MEXICO_WITH_1.fullmatch(number)
    planned = f"+52{mexican['number']}" if mexican else number
    # Parsing is what costs: the number is parsed anew only where today's plan has it in another form.
    if not phonenumbers.is_valid_number(parsed if planned == given else phonenumbers.parse(planned)):
        return None
    return number


def _e164(parsed: PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, PhoneNumberFormat.E164)


def _refusal(field: str, text: str, problem: str) -> Invalid:
    shown = repr(text if len(text) <= _LONGEST else text[:_LONGEST] + "…")
    return Invalid(field, f"{shown} {problem}", remedy=f"give country code and number, {_EXAMPLE}")
