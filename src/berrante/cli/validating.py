"""``berrante validate``."""

from pathlib import Path
from typing import Annotated

import typer

from berrante.app.smoke import Outcome
from berrante.app.validation import validate, written
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.settings import LogLevel, load


def validate_(
    *,
    to: Annotated[Path | None, typer.Option("--output", help="Write the report here.", show_default="nowhere")] = None,
    data_dir: DataDir = None,
) -> None:
    """Check what the service promises on the configured engines, and write a report; exit 1 if something is not so.

    Everything happens under a prefix and in organizations of its own, and nothing of it stays.
    """
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.ERROR)

    def told(outcome: Outcome) -> None:
        mark = "[green]✓[/]" if outcome.passed else "[red]✗[/]"
        output.print(f"{mark} {outcome.name} [dim]({outcome.took_ms} ms)[/]", highlight=False)
        if not outcome.passed:
            output.print(f"  {outcome.detail}", markup=False, highlight=False)

    report = run(validate(settings, told=told))
    output.print(f"{report.total - report.failed} of {report.total} checks passed")
    if to is not None:
        to.write_text(written(report), encoding="utf-8")
        output.print(f"the report is in {to}", markup=False, highlight=False)
    raise typer.Exit(1 if report.failed else 0)
