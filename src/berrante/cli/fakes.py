"""``berrante fakes …``: servers that stand in for Meta's, to try things on one machine."""

from typing import Annotated

import typer

from berrante.app.serving import address_of, listen, serve
from berrante.app.stopping import stop_on_signals
from berrante.cli.console import output, run
from berrante.fakes.graph import FakeGraph, World

app = typer.Typer(help="Servers that stand in for Meta's, to try things on one machine.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    pass


@app.command()
def graph(
    *,
    webhook: Annotated[
        str | None,
        typer.Option("--webhook", help="Address to call, e.g. http://127.0.0.1:8000/webhooks/whatsapp/shop."),
    ] = None,
    app_secret: Annotated[str, typer.Option("--app-secret", help="Signs its webhooks.")] = "fake-app-secret",  # noqa: S107
    token: Annotated[str, typer.Option("--token", help="Access token that it takes.")] = "fake-token",  # noqa: S107
    phone_number_id: Annotated[str, typer.Option("--phone-number-id", help="The one number.")] = "100",
    window: Annotated[
        bool, typer.Option("--window", help="Refuse what is no template to a contact who did not write for 24 hours.")
    ] = False,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0: any.")] = 8100,
) -> None:
    """Stand in for Meta's Graph: take messages, call the webhook, and go wrong to order (docs/gateways.md)."""
    run(_graph(webhook, app_secret, token, phone_number_id, window=window, host=host, port=port))


async def _graph(
    webhook: str | None, app_secret: str, token: str, phone_number_id: str, *, window: bool, host: str, port: int
) -> None:
    fake = FakeGraph(app_secret=app_secret, webhook_url=webhook, world=World(enforces_window=window))
    fake.add_number(phone_number_id, token=token)
    listener = listen(host, port)
    listener.listen()  # whoever reads the line below may call at once
    with stop_on_signals(deadline_ms=0) as stop:
        url = address_of(listener)
        output.print(f"a stand-in for Graph listens on {url}; what contacts saw: {url}/_fake/ledger", soft_wrap=True)
        async with fake.delivering():
            await serve(fake.app, listener, until=stop)
