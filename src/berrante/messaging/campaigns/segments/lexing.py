"""The words of a segment."""

import re
from dataclasses import dataclass
from typing import Final

from berrante.messaging.campaigns.segments.errors import SegmentInvalid

_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>\"(?:[^\"\\]|\\[\"\\])*\")|(?P<number>-?\d{1,15}(?:\.\d{1,9})?)(?![\w.])"
    r"|(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?)|(?P<sign>==|!=|<=|>=|[<>()\[\],]))"
)
_SPACE: Final = re.compile(r"\s*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """One word: its ``kind`` is text, number, word, sign or end."""

    kind: str
    text: str
    index: int

    @property
    def shown(self) -> str:
        """Return it as an error names it."""
        if self.kind == "end":
            return "the end"
        return repr(self.text if len(self.text) <= 30 else self.text[:30] + "…")


def tokens(source: str) -> list[Token]:
    """Split a segment into words, with an end; raises ``SegmentInvalid`` for what is no word."""
    found, at = [], 0
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            space = _SPACE.match(source, at)
            at = space.end() if space else at
            if at == len(source):
                break
            quote = source[at] == '"'
            expected = (
                'a text that ends with a quote (inside it \\" and \\\\)' if quote else "a field, a value or a sign"
            )
            raise SegmentInvalid(at, found=repr(source[at : at + 12]), expected=expected)
        kind = match.lastgroup or ""
        found.append(Token(kind=kind, text=match[kind], index=match.start(kind)))
        at = match.end()
    return [*found, Token(kind="end", text="", index=len(source))]
