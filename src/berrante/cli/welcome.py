"""What ``up --demo`` shows once everything is ready."""

from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from berrante.app.demo import DemoAccess

_SHOWN_BEFORE = "shown at the first start; {variable} sets another"


def welcome(access: DemoAccess, *, url: str) -> RenderableType:
    """Return the panel with the address, and what was made now."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("address", url)
    table.add_row("owner", access.email)
    for name, secret, variable in (
        ("password", access.password, "BERRANTE_OWNER_PASSWORD"),
        ("API key", access.api_key, "BERRANTE_DEMO_API_KEY"),
        ("app secret", access.app_secret, "BERRANTE_DEMO_APP_SECRET"),
        ("verify token", access.verify_token, "BERRANTE_DEMO_VERIFY_TOKEN"),
    ):
        table.add_row(name, secret or Text(_SHOWN_BEFORE.format(variable=variable), style="dim"))
    table.add_row("webhook", f"{url}/webhooks/whatsapp/{access.instance.id}")
    head = "made now; these are shown only once" if access.made else "found, with all that it holds"
    return Panel(table, title=f"Berrante: the demo is {head}", title_align="left", expand=False)


def tries(access: DemoAccess, *, url: str) -> str:
    """Return commands to copy, a line each."""
    key = access.api_key or "$BERRANTE_DEMO_API_KEY"
    return "\n".join(
        (
            "Try:",
            f"  curl -s {url}/health/queues",
            f"  curl -s -H 'Authorization: Bearer {key}' '{url}/v1/messages?limit=5'",
            "  berrante queues stats",
            "  berrante queues test",
        )
    )
