"""A contact's address, whatever shape it comes in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.messaging.addresses import canonical
from berrante.messaging.errors import Invalid

digits = st.from_regex(r"\A[1-9][0-9]{6,14}\Z")


@given(digits, st.sampled_from(["{}", "+{}", " +{} ", "{}@s.whatsapp.net", "{}:12@s.whatsapp.net", "{}@c.us"]))
def test_every_shape_of_a_number_is_the_same_address(number: str, shape: str) -> None:
    assert canonical(shape.format(number)) == f"+{number}"


@given(st.text())
def test_text_is_an_address_or_refused_and_an_address_stays(text: str) -> None:
    try:
        address = canonical(text)
    except Invalid:
        return
    assert canonical(address) == address
    assert address.removeprefix("+").isascii()


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
        "12345678@lid",
        "٥٥١١٩٩٩٩٩٠٠",
        "++551199999",
    ],
)
def test_what_is_no_number_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(Invalid, match=r"from .*: give ") as caught:
        canonical(text, field="from")
    assert caught.value.field == "from"
