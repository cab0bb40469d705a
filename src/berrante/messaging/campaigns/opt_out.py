"""Words by which a contact says that campaigns are not to write to it any more."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

from berrante.messaging.errors import Invalid

#: Known in every language that we write: whoever gets a text in a language may answer in another.
DEFAULT_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "en": ("STOP", "UNSUBSCRIBE", "STOP ALL", "OPT OUT"),
    "es": ("BAJA", "CANCELAR", "DAR DE BAJA"),
    "pt": ("SAIR", "PARAR", "CANCELAR", "DESCADASTRAR"),
}
_MOST: Final = 100
_LONGEST: Final = 60  # characters of a message that may be such a word, with all its punctuation
_SPACES: Final = re.compile(r"\s+")
_NO_ALNUM: Final = re.compile(r"[^0-9A-Za-z]+")


def word_key(text: str) -> str:
    """Return what two spellings of a word have in common: no case, accents, punctuation or outer spaces.

    >>> word_key(" «Sáir»! "), word_key("opt-out"), word_key("🛑 STOP.")
    ('sair', 'opt out', 'stop')
    """
    if text.isascii():  # the same, in a tenth of the time
        return _NO_ALNUM.sub(" ", text).strip().lower()
    decomposed = unicodedata.normalize("NFKD", text)
    kept = "".join(
        each if unicodedata.category(each)[0] in "LN" else " " for each in decomposed if not unicodedata.combining(each)
    )
    return _SPACES.sub(" ", kept.casefold()).strip()


def is_opt_out(text: str, words: Mapping[str, Sequence[str]] = DEFAULT_WORDS) -> bool:
    """Tell whether the whole message is one of the words; a word within a sentence is none.

    >>> is_opt_out("Stop!!"), is_opt_out("please don't stop"), is_opt_out("PARÁR")
    (True, False, True)
    """
    return is_one_of(text, word_keys(words))


def word_keys(words: Mapping[str, Sequence[str]]) -> frozenset[str]:
    """Return the keys of all words, for many texts to be compared with."""
    return frozenset(word_key(word) for group in words.values() for word in group)


def is_one_of(text: str, keys: frozenset[str]) -> bool:
    """Tell whether the whole message is a word of these keys."""
    return len(text) <= _LONGEST and bool(key := word_key(text)) and key in keys


def checked_words(words: Mapping[str, Sequence[str]], *, field: str = "words") -> dict[str, list[str]]:
    """Return an organization's own words by language; raises ``Invalid`` that names the one that cannot be typed."""
    if sum(len(group) for group in words.values()) > _MOST:
        raise Invalid(field, f"has more than {_MOST} words", remedy="give fewer")
    found: dict[str, list[str]] = {}
    for language, group in words.items():
        if not re.fullmatch(r"[a-z]{2,3}(-[A-Za-z]{2,4})?", language):
            raise Invalid(field, f"has the language {language[:20]!r}", remedy="give codes as pt, es or pt-BR")
        for word in group:
            if not word_key(word) or len(word) > _LONGEST:
                raise Invalid(f"{field}.{language}", f"has {word[:20]!r}", remedy=f"give letters, at most {_LONGEST}")
        found[language] = [_SPACES.sub(" ", word).strip() for word in group]
    if not any(found.values()):
        raise Invalid(field, "is empty", remedy="give at least one word: people must be able to leave")
    return found
