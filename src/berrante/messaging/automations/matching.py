"""Whether a text calls for an automation: a pure decision."""

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

_WORD: Final = re.compile(r"\w+")


def words(text: str) -> tuple[str, ...]:
    """Return the words of a text without case and accents.

    >>> words("Qual é o PREÇO?")
    ('qual', 'e', 'o', 'preco')
    """
    if text.isascii():  # the same, in a tenth of the time
        return tuple(_WORD.findall(text.lower()))
    # Decomposed twice: casefolding may compose anew, and compatibility forms (full width, ligatures) hide letters.
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return tuple(_WORD.findall("".join(letter for letter in folded if not unicodedata.combining(letter))))


def matches(text: str, keywords: Iterable[str]) -> bool:
    """Tell whether one of the keywords stands in the text, as whole words in a row, whatever case and accents.

    >>> matches("Qual o PRECO?", ["preço"]), matches("apreço", ["preço"]), matches("Bom  DIA!", ["bom dia"])
    (True, False, True)
    """
    said = words(text)
    return any(_stands_in(words(keyword), said) for keyword in keywords)


def _stands_in(wanted: tuple[str, ...], said: tuple[str, ...]) -> bool:
    length = len(wanted)
    return length > 0 and any(said[start : start + length] == wanted for start in range(len(said) - length + 1))
