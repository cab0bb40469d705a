"""``berrante owner …``: the platform's owner, who stands above all organizations, and an organization's."""

import secrets
import sys
from typing import Annotated
from uuid import UUID

import typer

from berrante.app import Application
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.messaging.errors import Missing, Taken
from berrante.settings import LogLevel, Settings, load

app = typer.Typer(
    help="Make an owner of the platform or of an organization, or give them a new password.", no_args_is_help=True
)

Email = Annotated[str, typer.Argument(help="The owner's e-mail address.")]
Organization = Annotated[
    UUID | None, typer.Option(help="The id of the organization that they own; without it, the platform's owner.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from standard input instead of drawing one.")
]


@app.command()
def create(
    email: Email,
    *,
    organization: Organization = None,
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
) -> None:
    """Make an owner of the platform, or of an organization; a password that was drawn is shown once."""
    settings = _settings(data_dir)
    password, is_drawn = _password(password_stdin)
    if not run(_created(settings, email, password, organization)):
        raise Taken("e-mail address", email)
    _show(f"{email} is an owner now", password if is_drawn else None)


@app.command("reset-password")
def reset_password(
    email: Email,
    *,
    organization: Organization = None,
    password_stdin: PasswordStdin = False,
    data_dir: DataDir = None,
) -> None:
    """Give an owner a new password and end all their sessions."""
    settings = _settings(data_dir)
    password, is_drawn = _password(password_stdin)
    ended = run(_reset(settings, email, password, organization))
    _show(f"{email} has a new password, and {ended} sessions were ended", password if is_drawn else None)


async def _created(settings: Settings, email: str, password: str, organization_id: UUID | None) -> bool:
    async with Application.open(settings) as application:
        if organization_id is not None and await application.organizations.get(organization_id) is None:
            raise Missing("organization", organization_id)
        return await application.people.ensure_owner(email, password, organization_id=organization_id)


async def _reset(settings: Settings, email: str, password: str, organization_id: UUID | None) -> int:
    async with Application.open(settings) as application:
        return await application.people.reset_owner(email, password, organization_id=organization_id)


def _settings(data_dir: DataDir) -> Settings:
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    return settings


def _password(from_stdin: bool) -> tuple[str, bool]:
    """Return the password and whether it was drawn."""
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n"), False
    return secrets.token_urlsafe(15), True


def _show(said: str, password: str | None) -> None:
    output.print(said, markup=False, highlight=False)
    if password is not None:
        output.print(f"password: {password}", markup=False, highlight=False, soft_wrap=True)
