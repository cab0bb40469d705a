"""The command's first level, and how errors leave it: known ones as a sentence and exit code 2, with no traceback."""

import sys
from typing import Annotated, Final

import typer

from berrante import __version__
from berrante.app import AppError
from berrante.cli import (
    campaigns,
    checking,
    cloud,
    contacts,
    dead_letters,
    fakes,
    instances,
    owner,
    processes,
    queues,
    settings_table,
    validating,
)
from berrante.cli.console import errors
from berrante.embedded import EmbeddedError
from berrante.engine import EngineError
from berrante.gateways.baileys import BaileysError
from berrante.messaging.errors import MessagingError
from berrante.settings import SettingsInvalid
from berrante.store import EncryptionError
from berrante.telemetry import scrubbed

_KNOWN: Final = (
    SettingsInvalid,
    AppError,
    EmbeddedError,
    EngineError,
    MessagingError,
    EncryptionError,
    BaileysError,
)

app = typer.Typer(
    help="Berrante moves WhatsApp messages for many organizations at once.",
    epilog="First run: berrante up --demo. Settings are environment variables: berrante settings.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(processes.up)
app.command()(processes.web)
app.command()(processes.worker)
app.command()(processes.sidecar)
app.command()(processes.migrate)
app.command()(checking.doctor)
app.command("validate")(validating.validate_)
app.command("settings")(settings_table.settings)
app.command("encryption-key")(cloud.encryption_key)
app.add_typer(queues.app, name="queues")
app.add_typer(instances.app, name="instances")
app.add_typer(campaigns.app, name="campaigns")
app.add_typer(cloud.app, name="cloud")
app.add_typer(fakes.app, name="fakes")
app.add_typer(contacts.app, name="contacts")
app.add_typer(owner.app, name="owner")
app.add_typer(dead_letters.app, name="dead-letters")


def _version(wanted: bool) -> None:
    if wanted:
        print(f"berrante {__version__}")
        raise typer.Exit


@app.callback()
def _berrante(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command; exits 2 with a sentence when something known keeps it from working."""
    try:
        app()
    except _KNOWN as error:
        for line in scrubbed(str(error)).splitlines():
            errors.print(line, style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(2)
