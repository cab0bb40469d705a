"""Cuts a window of a CSV file into whole records, and says how far it came: pure, no file is held."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass

from berrante.messaging.contact_imports.layout import Unreadable


@dataclass(frozen=True, slots=True)
class Record:
    """One record; ``line`` is where it begins, the first of the file being 1."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Read:
    """The whole records of a window, which took so many bytes and lines; what is left belongs to the next window."""

    records: list[Record]
    size: int
    lines: int


def read_records(window: bytes, *, line: int, delimiter: str, is_last: bool, most: int) -> Read:
    r"""Return the whole records at the beginning of a window; ``line`` is the number of its first line.

    Blank lines are passed over. ``is_last`` says that the file ends with the window. Bytes that are not UTF-8 are
    there as lone surrogates. Raises ``Unreadable`` where no record can end.

    >>> read_records(b'1,"a\nb"\n2,c\n3', line=2, delimiter=",", is_last=False, most=9).size
    12
    """
    source = _Lines(window, is_last=is_last)
    reader = csv.reader(source, delimiter=delimiter)
    records: list[Record] = []
    size = lines = 0
    while len(records) < most:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise Unreadable(line + lines, f"cannot be read: {error}: is a quote not closed?") from error
        if cells is None:
            break
        if source.ran_out:  # it asked for another line within a quoted cell
            if is_last:
                raise Unreadable(line + lines, "begins a quoted cell that never ends: close the quote")
            break
        if any(cell.strip() for cell in cells):
            records.append(Record(line + lines, cells))
        size, lines = source.size, source.lines
    return Read(records, size, lines)


class _Lines:
    """The whole lines of a window, counted as they are asked for."""

    def __init__(self, window: bytes, *, is_last: bool) -> None:
        self._lines = window.splitlines(keepends=True)
        if self._lines and not is_last and not self._lines[-1].endswith(b"\n"):
            self._lines.pop()  # the rest of it, or the "\n" of a "\r\n", may come with the next window
        self.size = self.lines = 0
        self.ran_out = False

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        if self.lines == len(self._lines):
            self.ran_out = True
            raise StopIteration
        line = self._lines[self.lines]
        self.size += len(line)
        self.lines += 1
        return line.decode("utf-8", "surrogateescape")
