"""``berrante settings``: what holds now."""

from typing import Annotated

import typer
from rich.text import Text

from berrante.cli.console import output
from berrante.cli.tables import Folded, Whole, show
from berrante.settings import load, markdown, unknown_variables
from berrante.settings.table import values


def settings(
    *,
    as_markdown: Annotated[
        bool, typer.Option("--markdown", help="Write docs/settings.md to standard output instead.")
    ] = False,
) -> None:
    """Show every setting with its value and default; secrets stay hidden."""
    if as_markdown:
        print(markdown(), end="")
        return
    show(
        (Whole("variable"), Folded("value"), Folded("default")),
        [
            [Text(cell, style="" if value == default else "bold") for cell in (variable, value, default)]
            for variable, value, default in values(load())
        ],
    )
    for variable, meant in unknown_variables().items():
        output.print(f"{variable} is not a setting" + (f": did you mean {meant}?" if meant else ""), style="yellow")
