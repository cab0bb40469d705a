"""Phone numbers: one person, one spelling."""

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.messaging.errors import Invalid
from berrante.messaging.phones import _checked, _straight, country_code, one_spelling, phone_number

_AREAS = [
    *(*range(11, 20), 21, 22, 24, 27, 28, *range(31, 36), 37, 38, *range(41, 50), 51, 53, 54, 55),
    *(*range(61, 70), 71, 73, 74, 75, 77, 79, *range(81, 90), *range(91, 100)),
]


@pytest.mark.parametrize("area", _AREAS)
def test_a_brazilian_mobile_is_one_number_with_and_without_the_9(area: int) -> None:
    with_9, without = f"+55{area}987654321", f"+55{area}87654321"
    assert one_spelling(without) == one_spelling(with_9) == with_9
    assert phone_number(without) == phone_number(with_9) == with_9


@pytest.mark.parametrize("area", [10, 20, 23, 25, 26, 29, 30, 36, 39, 40, 50, 52, 56, 60, 70, 72, 76, 78, 80, 90])
def test_an_area_that_brazil_does_not_have_gets_no_9_and_is_refused(area: int) -> None:
    assert one_spelling(f"+55{area}87654321") == f"+55{area}87654321"
    with pytest.raises(Invalid, match="of no range in use there"):
        phone_number(f"+55{area}987654321")


@given(st.sampled_from(_AREAS), st.integers(2, 5), st.integers(0, 9_999_999))
def test_a_brazilian_landline_is_left_as_it_is(area: int, first: int, rest: int) -> None:
    number = f"+55{area}{first}{rest:07d}"
    assert one_spelling(number) == number


@given(st.sampled_from(_AREAS), st.integers(6, 9), st.integers(0, 9_999_999))
def test_every_old_mobile_gets_the_9_once(area: int, first: int, rest: int) -> None:
    number = one_spelling(f"+55{area}{first}{rest:07d}")
    assert number == f"+55{area}9{first}{rest:07d}"
    assert one_spelling(number) == number


@pytest.mark.parametrize("text", ["+52 55 1234 5678", "+52 1 55 1234 5678", "5215512345678", "0052 55 1234 5678"])
def test_a_mexican_number_has_whatsapps_1(text: str) -> None:
    assert phone_number(text) == "+5215512345678"


@pytest.mark.parametrize("text", ["+54 9 11 2345-6789", "+54 11 15 2345-6789", "5491123456789"])
def test_an_argentine_mobile_has_whatsapps_9_in_place_of_15(text: str) -> None:
    assert phone_number(text) == "+5491123456789"


def test_an_argentine_number_without_9_or_15_stays_a_landline() -> None:
    assert phone_number("+54 11 2345-6789") == "+541123456789"


@pytest.mark.parametrize(
    ("text", "country", "number"),
    [
        ("(11) 98765-4321", "BR", "+5511987654321"),
        ("011 8765-4321", "BR", "+5511987654321"),
        ("5511987654321", "BR", "+5511987654321"),
        ("+1 650 253 0000", "BR", "+16502530000"),
        ("11 15 2345-6789", "AR", "+5491123456789"),
        ("55 1234 5678", "MX", "+5215512345678"),
        ("06 698 12345", "IT", "+390669812345"),
    ],
)
def test_with_a_country_numbers_may_be_written_as_at_home(text: str, country: str, number: str) -> None:
    assert phone_number(text, country=country) == number


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "is not a phone number"),
        ("Ana", "is not a phone number"),
        ("+999123456", "begins with no country code"),
        ("(11) 98765-4321", "of no range in use"),
        ("+55 11 9876", "is too short"),
        ("+55 11 98765 43210 9", "is too long"),
        ("+55 11 78765-4321", "of no range in use"),
        ("+1 650 253 0000 ext. 7", "has an extension"),
        ("+55 11 98765-4321" + " " * 40, "is not a phone number"),
        ("٥٥١١٩٨٧٦٥٤٣٢١", "is not a phone number"),
    ],
)
def test_what_is_mistyped_is_refused_with_the_reason_and_the_remedy(text: str, problem: str) -> None:
    with pytest.raises(Invalid, match=problem) as caught:
        phone_number(text, field="to")
    assert caught.value.field == "to"
    assert "for instance +55" in str(caught.value)


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from([0, 1]))
def test_every_countrys_example_is_valid_and_its_spelling_stays(region: str, kind: int) -> None:
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        return
    number = phone_number(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.INTERNATIONAL))
    assert phone_number(number) == one_spelling(number) == number


@given(st.text(max_size=50))
def test_any_text_is_a_number_or_refused(text: str) -> None:
    try:
        number = phone_number(text, country="BR")
    except Invalid:
        return
    assert phone_number(number) == number


def test_a_country_is_two_letters() -> None:
    assert country_code(" br ") == "BR"
    with pytest.raises(Invalid, match="two letters"):
        country_code("Brazil")


@given(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)), st.sampled_from([0, 1]), st.data())
def test_the_short_way_to_a_number_finds_what_parsing_finds(region: str, kind: int, data: st.DataObject) -> None:
    example = phonenumbers.example_number_for_type(region, kind)
    if example is None:
        return
    digits = list(phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164))
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(len(str(example.country_code)) + 1, len(digits) - 1))
        digits[place] = data.draw(st.sampled_from("0123456789"))
    number = "".join(digits)
    short = _straight(number)
    assert short is None or short == _checked(number, number, field="x")
