"""``berrante settings``: what holds now."""

from typing import Annotated

import typer
from rich.table import Table

from berrante.cli.console import output
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
    table = Table("variable", "value", "default")
    for variable, value, default in values(load()):
        table.add_row(variable, value, default, style=None if value == default else "bold")
    output.print(table)
    for variable, meant in unknown_variables().items():
        output.print(f"{variable} is not a setting" + (f": did you mean {meant}?" if meant else ""), style="yellow")
