"""What the first line of a CSV file says: how cells are separated, and what stands in which column."""

import csv
from dataclasses import dataclass
from typing import Any, Final

from berrante.messaging.automations.matching import words
from berrante.messaging.contacts.details import is_field_name

_DELIMITERS: Final = ",;\t|"
_MOST_COLUMNS: Final = 100
_BOM: Final = b"\xef\xbb\xbf"
FIELD: Final = "field:"
IGNORED: Final = ""

#: Headings, as words without case and accents, of what is not a custom field.
_MEANINGS: Final = {
    "phone": ("phone", "phone_number", "telefone", "celular", "whatsapp", "numero", "number", "mobile", "telefono"),
    "name": ("name", "full_name", "nome", "nome_completo", "nombre"),
    "language": ("language", "lang", "idioma", "lingua"),
    "tags": ("tags", "tag", "etiquetas"),
    "consent": ("consent", "consentimento"),
    "consent_source": ("consent_source",),
    "consent_text": ("consent_text",),
    "consent_at": ("consent_at",),
    # What an export has beside.
    IGNORED: ("id", "instance_id", "blocked_at", "first_seen_at", "last_message_at"),
}
_KNOWN: Final = {heading: meaning for meaning, headings in _MEANINGS.items() for heading in headings}


class Unreadable(Exception):
    """The file as a whole cannot be imported from this line on."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """The columns of a file: for each its heading, and what it means (``field:…`` is a custom field)."""

    delimiter: str
    headings: tuple[str, ...]
    meanings: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Return the layout as it is stored."""
        return {"delimiter": self.delimiter, "headings": list(self.headings), "meanings": list(self.meanings)}

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Layout":
        """Read what ``as_json`` returned."""
        return cls(
            delimiter=stored["delimiter"], headings=tuple(stored["headings"]), meanings=tuple(stored["meanings"])
        )


def delimiter_of(first_line: str) -> str:
    """Return what separates the cells: the one of ``, ; | tab`` that the first line has most of.

    >>> delimiter_of("phone;name, first and last;city")
    ';'
    """
    return max(_DELIMITERS, key=first_line.count)


def read_header(cells: list[str], *, delimiter: str) -> Layout:
    """Return what the columns mean; raises ``Unreadable`` that says which heading is wrong and how to mend it.

    >>> read_header(["Telefone", "Nome", "Birth day"], delimiter=",").meanings
    ('phone', 'name', 'field:birth_day')
    """
    if len(cells) > _MOST_COLUMNS:
        raise Unreadable(1, f"has {len(cells)} columns: keep at most {_MOST_COLUMNS}")
    meanings = tuple(_meaning(cell) for cell in cells)
    if "phone" not in meanings:
        raise Unreadable(1, "no column is called 'phone': the first line has to name the columns")
    for index, meaning in enumerate(meanings):
        if meaning != IGNORED and meaning in meanings[:index]:
            raise Unreadable(1, f"column {cells[index][:40]!r} means the same as another: leave one out")
    return Layout(delimiter=delimiter, headings=tuple(cell.strip()[:60] for cell in cells), meanings=meanings)


def _meaning(heading: str) -> str:
    text = heading.strip()
    if not text:
        return IGNORED
    prefix, dot, rest = text.partition(".")
    is_field = bool(dot) and prefix.lower() in {"field", "fields"}
    name = "_".join(words(rest if is_field else text))
    if not is_field and name in _KNOWN:
        return _KNOWN[name]
    if not is_field_name(name):
        raise Unreadable(
            1, f"column {text[:40]!r} is no field's name: begin with a letter; letters, digits and '_', 40 at most"
        )
    return FIELD + name


def split(line: str, *, delimiter: str) -> list[str]:
    """Return the cells of one line."""
    return next(csv.reader([line], delimiter=delimiter), [])


def header_of(window: bytes, *, is_last: bool) -> tuple[Layout, int]:
    """Return what a file's first line says, and how many bytes it takes; raises ``Unreadable``."""
    if window.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable(1, "is UTF-16: save the file as CSV UTF-8")
    skipped = len(_BOM) if window.startswith(_BOM) else 0
    lines = window[skipped:].splitlines(keepends=True)
    if not lines or (len(lines) == 1 and not is_last):
        raise Unreadable(1, "does not end: is it a CSV file?")
    try:
        text = lines[0].decode()
    except UnicodeDecodeError as error:
        raise Unreadable(1, "is not UTF-8: save the file as CSV UTF-8") from error
    delimiter = delimiter_of(text)
    return read_header(split(text, delimiter=delimiter), delimiter=delimiter), skipped + len(lines[0])
