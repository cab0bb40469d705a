"""``berrante cloud …``: numbers of Meta's Cloud API."""

from typing import Annotated
from uuid import UUID

import typer

from berrante.app import Application
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.cli.tables import Whole, show
from berrante.gateways.protocol import InDoubt, SendError
from berrante.messaging.clock import moment
from berrante.messaging.errors import Missing
from berrante.messaging.instances import Instance
from berrante.settings import LogLevel, Settings, load
from berrante.store.encryption import new_key

app = typer.Typer(help="Numbers of Meta's Cloud API.", no_args_is_help=True)

_Number = Annotated[str, typer.Argument(metavar="INSTANCE", help="The number's id here.")]


def encryption_key() -> None:
    """Make a key for BERRANTE_ENCRYPTION_KEY."""
    print(new_key())


@app.command()
def connect(
    instance: _Number,
    *,
    organization: Annotated[
        str | None, typer.Option("--organization", help="Name or id of the owner; needed for a new number.")
    ] = None,
    phone_number_id: Annotated[
        str | None, typer.Option("--phone-number-id", help="Meta's id of it; needed for a new number.")
    ] = None,
    business_account: Annotated[
        str | None, typer.Option("--business-account", help="Id of its WhatsApp Business Account.")
    ] = None,
    portfolio: Annotated[str | None, typer.Option("--portfolio", help="Id of its business portfolio.")] = None,
    token: Annotated[
        str | None, typer.Option("--token", envvar="WHATSAPP_ACCESS_TOKEN", help="A system user's access token.")
    ] = None,
    app_secret: Annotated[
        str | None, typer.Option("--app-secret", envvar="WHATSAPP_APP_SECRET", help="The app's secret.")
    ] = None,
    verify_token: Annotated[
        str | None, typer.Option("--verify-token", envvar="WHATSAPP_VERIFY_TOKEN", help="A word of your own choice.")
    ] = None,
    base_url: Annotated[str | None, typer.Option("--base-url", help="Another Graph, e.g. a stand-in.")] = None,
    graph_version: Annotated[str | None, typer.Option("--graph-version", help="For instance v24.0.")] = None,
    messaging_limit: Annotated[
        int | None, typer.Option("--messaging-limit", help="People the portfolio may write to first in 24 hours.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a number of the Cloud API, or give one a new token. Secrets are better given as variables (WHATSAPP_…)."""

    async def work(settings: Settings) -> None:
        async with Application.open(settings) as application:
            known = await application.instances.get(instance)
            if known is None:
                known = await application.instances.create(
                    organization_id=await _owner(application, organization),
                    id=instance,
                    gateway="cloud",
                    phone_number_id=phone_number_id,
                    app_secret=app_secret,
                    verify_token=verify_token,
                )
            numbers = application.cloud_numbers
            state = await numbers.connect(
                organization_id=known.organization_id,
                instance_id=instance,
                access_token=token,
                base_url=base_url,
                graph_version=graph_version,
                business_account_id=business_account,
                portfolio_id=portfolio,
            )
            if state.has_token:
                output.print(await first_look(application, known))
            if messaging_limit is not None:
                await numbers.set_messaging_limit(known.organization_id, instance, messaging_limit)
            sends = "sends" if state.has_token else "receives, and sends once it has a --token"
            output.print(f"number {instance} {sends}; its webhook is /webhooks/whatsapp/{instance}")

    run(work(_settings(data_dir)))


@app.command()
def holds(instance: _Number, *, data_dir: DataDir = None) -> None:
    """Show what of a number is not sent now, and why."""

    async def work(settings: Settings) -> None:
        async with Application.open(settings) as application:
            known = await _known(application, instance)
            rows = []
            for hold in await application.cloud_numbers.holds(known.organization_id, instance):
                until = "somebody acts" if hold.until_ms is None else f"{moment(hold.until_ms):%Y-%m-%d %H:%M} UTC"
                rows.append((hold.what, hold.code, "yes" if hold.campaigns_only else "no", until, hold.reason))
            show((Whole("what"), Whole("code"), "only campaigns", "until", "why"), rows)

    run(work(_settings(data_dir)))


@app.command()
def release(
    instance: _Number,
    *,
    what: Annotated[str | None, typer.Option("--what", help="Only this, as `holds` names it.")] = None,
    data_dir: DataDir = None,
) -> None:
    """End holds, once their cause is mended; what waits goes on at once."""

    async def work(settings: Settings) -> None:
        async with Application.open(settings) as application:
            known = await _known(application, instance)
            ended = await application.cloud_numbers.release(known.organization_id, instance, what=what)
            output.print(f"{ended} holds ended")

    run(work(_settings(data_dir)))


async def first_look(application: Application, number: Instance) -> str:
    """Ask Graph of the number with its new token, keep what it says, and return a sentence about it."""
    try:
        told = await application.cloud.look(organization_id=number.organization_id, instance_id=number.id)
    except (SendError, InDoubt) as error:
        remedy = "look at the token, --phone-number-id and the network, then connect again"
        return f"not checked: {error}: {(isinstance(error, SendError) and error.remedy) or remedy}"
    await application.cloud_numbers.learn(number.organization_id, number.id, told)
    shown = {
        "number": told.get("display_phone_number"),
        "quality": told.get("quality_rating"),
        "messaging limit": told.get("whatsapp_business_manager_messaging_limit"),
    }
    return "Graph takes the token: " + ", ".join(f"{name} {value or 'not told'}" for name, value in shown.items())


async def _known(application: Application, instance: str) -> Instance:
    known = await application.instances.get(instance)
    if known is None:
        raise Missing("instance", instance[:60])
    return known


async def _owner(application: Application, named: str | None) -> UUID:
    if named is None:
        raise typer.BadParameter("a new number needs an --organization")
    try:
        return UUID(named)
    except ValueError:
        found = await application.organizations.find(named)
        if found is None:
            raise Missing("organization", named[:60]) from None
        return found.id


def _settings(data_dir: object) -> Settings:
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    return settings
