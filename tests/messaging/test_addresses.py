"""A contact's address, whatever shape it comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.messaging.addresses import AddressKind, as_written, canonical, checked, kind_of
from berrante.messaging.errors import Invalid

digits = st.from_regex(r"\A[1-9][0-9]{6,14}\Z")


@given(digits, st.sampled_from(["{}", "+{}", " +{} ", "{}@s.whatsapp.net", "{}:12@s.whatsapp.net", "{}@c.us"]))
def test_every_shape_of_a_number_is_the_same_address(number: str, shape: str) -> None:
    assert as_written(shape.format(number)) == f"+{number}"
    assert canonical(shape.format(number)) == canonical(number)


def test_what_whatsapp_tells_is_taken_and_what_a_person_gives_is_checked() -> None:
    assert canonical("5511123") == "+5511123"
    with pytest.raises(Invalid, match="too short"):
        checked("5511123")
    assert canonical("558587654321") == checked("558587654321") == "+5585987654321"


@pytest.mark.parametrize(
    ("text", "address", "kind"),
    [
        ("123456789012@lid", "123456789012@lid", AddressKind.LID),
        ("123456789012:4@lid", "123456789012@lid", AddressKind.LID),
        ("BR.13491208655302741918", "BR.13491208655302741918", AddressKind.BSUID),
        ("US.ENT.11815799212886844830", "US.ENT.11815799212886844830", AddressKind.BSUID),
        ("5511999990001", "+5511999990001", AddressKind.PHONE),
    ],
)
def test_an_identity_may_lack_a_phone(text: str, address: str, kind: AddressKind) -> None:
    assert canonical(text) == checked(text) == address
    assert kind_of(address) is kind


@given(st.text())
def test_text_is_an_address_or_refused_and_an_address_stays(text: str) -> None:
    try:
        address = canonical(text)
    except Invalid:
        return
    assert canonical(address) == address
    assert address.isascii()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "abc",
        "12345",
        "+0551199999",
        "1" * 16,
        "120363041234567890@g.us",
        "1234@lid",
        "br.134912086553",
        "BR.1",
        "٥٥١١٩٩٩٩٩٠٠",
        "++551199999",
    ],
)
def test_what_is_no_number_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(Invalid, match=r"from .*: give ") as caught:
        canonical(text, field="from")
    assert caught.value.field == "from"
