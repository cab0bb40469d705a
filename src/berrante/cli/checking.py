"""``berrante doctor``."""

from typing import Final

import typer
from rich.text import Text

from berrante.app.doctor import Finding, Verdict, examine
from berrante.cli.console import log, run
from berrante.cli.options import DataDir
from berrante.cli.tables import show
from berrante.settings import LogLevel, load

_MARKS: Final = {
    Verdict.GOOD: Text("✓", "green"),
    Verdict.DOUBTFUL: Text("!", "yellow"),
    Verdict.BAD: Text("✗", "red"),
}


def doctor(*, data_dir: DataDir = None) -> None:
    """Check Python, settings, Redis, the database and the scripts; exit 1 if something has to be mended."""
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.ERROR)

    async def findings() -> list[Finding]:
        return [finding async for finding in examine(settings)]

    found = run(findings())
    show(
        ("", "what", "found", "remedy"),
        [(_MARKS[each.verdict], each.name, each.detail, each.remedy or "") for each in found],
    )
    raise typer.Exit(1 if any(finding.verdict is Verdict.BAD for finding in found) else 0)
