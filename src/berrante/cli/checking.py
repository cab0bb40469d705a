"""``berrante doctor``."""

from typing import Final

import typer
from rich.table import Table

from berrante.app.doctor import Finding, Verdict, examine
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.settings import LogLevel, load

_MARKS: Final = {Verdict.GOOD: "[green]✓[/]", Verdict.DOUBTFUL: "[yellow]![/]", Verdict.BAD: "[red]✗[/]"}


def doctor(*, data_dir: DataDir = None) -> None:
    """Check Python, settings, Redis, the database and the scripts; exit 1 if something has to be mended."""
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.ERROR)

    async def findings() -> list[Finding]:
        return [finding async for finding in examine(settings)]

    found = run(findings())
    table = Table("", "what", "found", "remedy")
    for finding in found:
        table.add_row(_MARKS[finding.verdict], finding.name, finding.detail, finding.remedy or "")
    output.print(table)
    raise typer.Exit(1 if any(finding.verdict is Verdict.BAD for finding in found) else 0)
