"""Cells of CSV files that spreadsheets open: a text that looks like a formula must not be one."""

from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """Return the text as a cell that no spreadsheet takes for a formula; bare numbers with a plus are none.

    >>> guarded("=1+1"), guarded("+5511999990001"), guarded("Ana")
    ("'=1+1", '+5511999990001', 'Ana')
    """
    if text.startswith(_FORMULA) and not (text[0] == "+" and text[1:].isascii() and text[1:].isdigit()):
        return f"'{text}"
    # So that an apostrophe of one's own comes back.
    return f"'{text}" if text.startswith("'") and text[1:].startswith((*_FORMULA, "'")) else text


def unguarded(cell: str) -> str:
    """Return the text that ``guarded`` made a cell of.

    >>> unguarded(guarded("'=x")), unguarded(guarded("=x")), unguarded("'tis")
    ("'=x", '=x', "'tis")
    """
    return cell[1:] if cell.startswith("'") and cell[1:].startswith((*_FORMULA, "'")) else cell
