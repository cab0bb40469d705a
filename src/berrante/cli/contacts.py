"""``berrante contacts …``: contacts in and out of CSV files."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from berrante.app.contact_files import export_contacts, import_contacts
from berrante.cli.console import errors, log, output, run
from berrante.cli.options import DataDir
from berrante.messaging.contact_imports import ContactImport
from berrante.settings import LogLevel, load

app = typer.Typer(help="Bring contacts in from CSV files, and out again.", no_args_is_help=True)

_Organization = Annotated[str, typer.Option("--organization", help="The organization's id or name.")]


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file, UTF-8.")],
    *,
    organization: _Organization,
    instance: Annotated[str, typer.Option("--instance", help="The number whose contacts they become.")],
    country: Annotated[
        str | None, typer.Option("--country", help="Two letters: numbers may be written as at home, for instance BR.")
    ] = None,
    refused: Annotated[
        Path | None, typer.Option("--errors", help="Where refused rows go; else FILE.errors.csv.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Import a CSV file whose first line names the columns; ``phone`` is needed.

    Interrupted, a worker finishes it, or the same command again; the same file is not imported twice. Exit 1 if the
    file cannot be read to its end.
    """
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    refused = refused or file.with_name(f"{file.name}.errors.csv")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]} rows"),
        TimeRemainingColumn(),
    )
    with file.open("rb") as opened, Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(file.name, total=None, rows=0)

        def told(current: ContactImport) -> None:
            rows = current.created + current.updated + current.rejected
            progress.update(task, total=current.bytes_total, completed=current.bytes_done, rows=f"{rows:,}")

        done = run(
            import_contacts(
                settings,
                opened,
                organization=organization,
                instance_id=instance,
                filename=file.name,
                country=country,
                errors=refused,
                told=told,
            )
        )
    output.print(f"{done.created:,} created, {done.updated:,} updated, {done.rejected:,} refused", highlight=False)
    if done.rejected:
        output.print(f"why rows were refused: {refused}", highlight=False, soft_wrap=True)
    if done.status == "failed":
        errors.print(f"{file.name}: {done.reason}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def export(
    *,
    organization: _Organization,
    instance: Annotated[str | None, typer.Option("--instance", help="Only the contacts of this number.")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only contacts with this tag; repeatable.")] = None,
    into: Annotated[
        Path | None, typer.Option("--output", help="File to write; else standard output.", show_default=False)
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Write contacts as CSV, which ``import`` reads back; no cell is a formula to a spreadsheet."""
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    tags = tuple(tag or ())
    if into is None:
        run(export_contacts(settings, sys.stdout, organization=organization, instance_id=instance, tags=tags))
        return
    with into.open("w", newline="", encoding="utf-8") as written:
        run(export_contacts(settings, written, organization=organization, instance_id=instance, tags=tags))
