"""Tables that fit any terminal: no word is cut where its meaning would be lost."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from berrante.cli.console import output

#: A longer word (an address, a path) may go on in the next line, where the table cannot be drawn otherwise.
_UNBROKEN: Final = 24
_FOLDED: Final = 9
_PADDING: Final = 3  # a border and a space at each side


@dataclass(frozen=True, slots=True)
class Whole:
    """The head of a column whose words are never broken, however long: ids that people copy."""

    name: str


@dataclass(frozen=True, slots=True)
class Folded:
    """The head of a column whose words may be broken anywhere, rather than have the table not drawn."""

    name: str


Head = str | Whole | Folded
Cell = str | Text


def show(heads: Sequence[Head], rows: Sequence[Sequence[Cell]], *, console: Console = output) -> None:
    """Print a table; on a terminal too narrow for its words, each row as a list of its cells instead.

    A head that is empty is that of a mark, and its cell is shown before the next one's.
    """
    texts = [[cell if isinstance(cell, Text) else Text(cell) for cell in row] for row in rows]
    widths = _widths(heads, texts, console.width - 1 - _PADDING * len(heads))
    if widths is None:
        _list(heads, texts, console)
        return
    table = Table()
    for head, width in zip(heads, widths, strict=True):
        table.add_column(Text(_name(head)), width=width, overflow="fold")
    for row in texts:
        table.add_row(*row)
    console.print(table)


def pairs(rows: Sequence[tuple[str, Cell]], *, console: Console = output) -> None:
    """Print names with what they are; what is long goes on below."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, cell in rows:
        grid.add_row(name, cell if isinstance(cell, Text) else Text(cell))
    console.print(grid)


def _widths(heads: Sequence[Head], rows: Sequence[Sequence[Text]], room: int) -> list[int] | None:
    """Return each column's width, as wide as it needs if all do fit; None if not even their words do."""
    least, most = [], []
    for place, head in enumerate(heads):
        column = [Text(_name(head)), *(row[place] for row in rows)]
        longest, folds = max(_longest_word(cell) for cell in column), isinstance(head, Folded)
        least.append(longest if isinstance(head, Whole) else min(longest, _FOLDED if folds else _UNBROKEN))
        most.append(max(max((line.cell_len for line in cell.split()), default=0) for cell in column))
    if sum(most) <= room:
        return most
    if sum(least) > room:
        return None
    # What is left goes to those columns that want more, the ones that want little first.
    widths, left = list(least), room - sum(least)
    for waiting in range(len(heads), 0, -1):
        place = sorted(range(len(heads)), key=lambda column: most[column] - least[column])[len(heads) - waiting]
        more = min(most[place] - least[place], left // waiting)
        widths[place] += more
        left -= more
    return widths


def _list(heads: Sequence[Head], rows: Sequence[Sequence[Text]], console: Console) -> None:
    if rows and all(cell.plain.isdecimal() for row in rows for cell in row[1:]):
        for row in rows:
            _count(heads, row, console)
        return
    for number, row in enumerate(rows):
        if number:
            console.print()
        mark = Text()
        told: list[tuple[str, Cell]] = []
        for head, cell in zip(heads, row, strict=True):
            if not _name(head):
                mark = Text.assemble(cell, " ")
            elif cell.plain:
                told.append((_name(head), Text.assemble(mark, cell)))
                mark = Text()
        pairs(told, console=console)


def _count(heads: Sequence[Head], row: Sequence[Text], console: Console) -> None:
    """Print a row of numbers in few lines, each number beside its name."""
    console.print(Text.assemble(row[0], style="bold"))
    lines = [""]
    for head, cell in zip(heads[1:], row[1:], strict=True):
        told = f"{_name(head)} {cell.plain}"
        if lines[-1] and len(lines[-1]) + len(told) + 3 > console.width - 2:
            lines.append("")
        lines[-1] += f" · {told}" if lines[-1] else told
    for line in lines:
        console.print(Text(f"  {line}"))


def _name(head: Head) -> str:
    return head if isinstance(head, str) else head.name


def _longest_word(text: Text) -> int:
    return max((Text(word).cell_len for word in text.plain.split()), default=0)
