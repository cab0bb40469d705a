r"""Spintax: ``{Hi|Hello|Oi}`` becomes one of its alternatives, always the same one for the same recipient.

It is turned into Liquid before Liquid is read, so that alternatives may hold Liquid, what a contact is called is never
spun, and one template serves all recipients. Liquid's own ``{{ … }}`` and ``{% … %}`` are left as they are, and so are
braces without a ``|`` between them. ``\{``, ``\|`` and ``\}`` stand for the bare characters.
"""

import re
from dataclasses import dataclass, field
from typing import Final

from berrante.messaging.campaigns.content.errors import TemplateInvalid

#: The variable that holds the number of each group's alternative; no user's template can name it.
CHOICES: Final = "berrante_spin"
MAX_GROUPS: Final = 50
_MAX_DEPTH: Final = 5

_TOKEN: Final = re.compile(r"\{(?=\{\{|\{%)|\{\{.*?\}\}|\{%.*?%\}|\\[{|}]|[{|}]", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spun:
    """A text as Liquid: ``sizes`` holds the number of alternatives of each group, in order."""

    liquid: str
    sizes: tuple[int, ...]
    _places: tuple[tuple[int, int], ...]

    def source_index(self, index: int) -> int:
        """Return where in the source stands what stands at ``index`` of the Liquid."""
        source = 0
        for at, from_source in self._places:
            if at > index:
                break
            source = from_source + (index - at)
        return source


@dataclass(slots=True)
class _Group:
    """One open brace: its alternatives so far, each a list of pieces."""

    at: int
    alternatives: list[list["_Piece"]] = field(default_factory=lambda: [[]])


_Piece = tuple[str, int] | _Group  # a text and where it stands, or a group


def spin(source: str) -> Spun:
    """Read spintax; raises ``TemplateInvalid`` for too many groups or too deep ones.

    >>> spin("{Hi|Oi} {{ name }} {x}").sizes
    (2,)
    """
    return _Writer().write(_read(source))


def _read(source: str) -> list[_Piece]:  # noqa: PLR0912  one branch per kind of token
    top: list[_Piece] = []
    open_: list[_Group] = []
    end = 0

    def here() -> list[_Piece]:
        return open_[-1].alternatives[-1] if open_ else top

    for token in _TOKEN.finditer(source):
        if token.start() > end:
            here().append((source[end : token.start()], end))
        end = token.end()
        match token.group():
            case "{":
                if len(open_) == _MAX_DEPTH:
                    raise TemplateInvalid(source, token.start(), f"alternatives are nested deeper than {_MAX_DEPTH}")
                open_.append(_Group(token.start()))
            case "|" if open_:
                open_[-1].alternatives.append([])
            case "}" if open_:
                group = open_.pop()
                if len(group.alternatives) > 1:
                    here().append(group)
                else:
                    here().extend([("{", group.at), *group.alternatives[0], ("}", token.start())])
            case text if text[0] == "\\":
                here().append((text[1], token.start() + 1))
            case text:
                here().append((text, token.start()))
    here().append((source[end:], end))
    if open_:
        spinning = next((group for group in open_ if len(group.alternatives) > 1), None)
        if spinning is not None:
            raise TemplateInvalid(source, spinning.at, "these alternatives are not closed: add '}', or write '\\{'")
        for group in reversed(open_):
            rest = [("{", group.at), *group.alternatives[0]]
            open_.pop()
            here().extend(rest)
    return top


class _Writer:
    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._sizes: list[int] = []
        self._places: list[tuple[int, int]] = []

    def write(self, pieces: list[_Piece]) -> Spun:
        self._pieces(pieces)
        return Spun(liquid="".join(self._parts), sizes=tuple(self._sizes), _places=tuple(self._places))

    def _pieces(self, pieces: list[_Piece]) -> None:
        for piece in pieces:
            if isinstance(piece, _Group):
                self._group(piece)
            else:
                self._put(*piece)

    def _group(self, group: _Group) -> None:
        number = len(self._sizes)
        if number == MAX_GROUPS:
            raise TemplateInvalid("", 0, f"there are more than {MAX_GROUPS} groups of alternatives")
        self._sizes.append(len(group.alternatives))
        self._put(f"{{% case {CHOICES}[{number}] %}}", group.at)
        for choice, alternative in enumerate(group.alternatives):
            self._put(f"{{% when {choice} %}}", group.at)
            self._pieces(alternative)
        self._put("{% endcase %}", group.at)

    def _put(self, text: str, at: int) -> None:
        self._places.append((self._length, at))
        self._parts.append(text)
        self._length += len(text)
