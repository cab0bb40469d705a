"""``berrante instances``: numbers, from the terminal."""

import sys
from typing import Annotated, Final

import segno
import typer

from berrante.app import Application
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.messaging.errors import Missing, WrongState
from berrante.settings import LogLevel, Settings, load

app = typer.Typer(help="Numbers and their connections.", no_args_is_help=True)

_ENDS: Final = {
    "open": "the number is connected",
    "expired": "no phone scanned the code in time: run the command again",
    "elsewhere": "another client uses this session: end it, and run the command again",
    "logged_out": "the number was unlinked on its phone: run the command again",
    "banned": "WhatsApp refuses this number",
}


@app.callback()
def _instances() -> None:
    pass


@app.command()
def connect(
    instance_id: Annotated[str, typer.Argument(metavar="ID", help="The instance, which is on the gateway baileys.")],
    *,
    phone: Annotated[
        str | None, typer.Option(help="Pair by a code that is typed on this phone, +5511999990001, in place of a QR.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Link a number to its phone: draws the QR code here. On the phone: Linked devices, Link a device."""
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    if not run(_connect(settings, instance_id, phone)):
        raise typer.Exit(1)


async def _connect(settings: Settings, instance_id: str, phone: str | None) -> bool:
    async with Application.open(settings) as application:
        instance = await application.instances.get(instance_id)
        if instance is None:
            raise Missing("instance", instance_id)
        if instance.gateway != "baileys":
            raise WrongState("instance", instance_id, state=f"on the gateway {instance.gateway}", needed="on baileys")
        sidecars = application.sidecars
        await sidecars.connect(instance_id, organization_id=instance.organization_id, phone=phone)
        shown = None
        async for status in sidecars.watch(instance_id):
            if status.code and status.code != shown:
                output.print(f"type this code on the phone: {status.code}")
            elif status.qr and status.qr != shown:
                segno.make(status.qr, error="l", micro=False).terminal(out=sys.stdout, compact=True)
            shown = status.code or status.qr or shown
            if status.state in _ENDS:
                output.print(_ENDS[status.state])
                return status.state == "open"
    return False
