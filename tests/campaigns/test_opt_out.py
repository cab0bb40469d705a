"""Words by which a contact leaves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.messaging.campaigns.opt_out import DEFAULT_WORDS, checked_words, is_opt_out, word_key
from berrante.messaging.errors import Invalid

WORDS = [word for group in DEFAULT_WORDS.values() for word in group]


@given(
    st.sampled_from(WORDS),
    st.sampled_from([str.lower, str.upper, str.title]),
    st.text(alphabet=" .,!?\n\t\"'*_~-🛑«»", max_size=8),
    st.text(alphabet=" .,!?\n\t\"'*_~-🛑«»", max_size=8),
)
def test_a_word_is_heard_however_it_is_typed(word: str, case: object, before: str, after: str) -> None:
    assert is_opt_out(before + case(word) + after)  # type: ignore[operator]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "!!!",
        "stop it please",
        "quero sair de casa",
        "não pare",
        "pararei",
        "unstoppable",
        "s t o p",
        "SAIR " * 20,
        "cancelar meu pedido",
    ],
)
def test_a_sentence_is_no_such_word(text: str) -> None:
    assert not is_opt_out(text)


@given(st.text(max_size=80))
def test_any_text_can_be_asked(text: str) -> None:
    assert word_key(word_key(text)) == word_key(text)
    assert isinstance(is_opt_out(text), bool)


def test_an_organization_may_have_its_own_words() -> None:
    words = checked_words({"pt": ["Chega", "não quero"]})
    assert is_opt_out("NAO QUERO.", words)
    assert not is_opt_out("stop", words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "words is empty"),
        ({"pt": []}, "words is empty"),
        ({"pt": ["!!"]}, "words.pt has '!!'"),
        ({"Portuguese": ["x"]}, "language 'Portuguese'"),
        ({"pt": ["x"] * 101}, "more than 100"),
    ],
)
def test_words_that_cannot_be_typed_are_refused(words: dict[str, list[str]], message: str) -> None:
    with pytest.raises(Invalid, match=message):
        checked_words(words)
