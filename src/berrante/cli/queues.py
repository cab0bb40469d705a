"""``berrante queues …``: counts, and smoke tests that play the real flow on the configured engines."""

import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import typer
from rich.table import Table

from berrante.app import open_engines
from berrante.app.reaching import reach_redis
from berrante.app.smoke import (
    CheckFailed,
    Outcome,
    Stage,
    automation_flow,
    campaign_flow,
    message_flow,
    open_stage,
    run_queue_checks,
)
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.engine import Connection
from berrante.messaging.queues import open_queues
from berrante.settings import LogLevel, Settings, load
from berrante.web.health import counts

app = typer.Typer(help="Look at the queues, and test them on the configured engines.", no_args_is_help=True)


@app.command()
def stats(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Count the jobs of each queue by state."""
    found = run(_counts(_settings(data_dir)))
    if as_json:
        print(json.dumps(found))
        return
    states = [state for state in next(iter(found.values())) if state != "paused"]
    table = Table("queue", *states)
    for name, numbers in found.items():
        shown = f"{name} (paused)" if numbers["paused"] else name
        table.add_row(shown, *(str(numbers[state]) for state in states))
    output.print(table)


@app.command("test")
def check(*, data_dir: DataDir = None) -> None:
    """Make ten checks of the queue system; exit 1 if one fails. No key stays behind."""
    outcomes = run(_checks(_settings(data_dir)))
    table = Table("", "check", "measured", "ms")
    for outcome in outcomes:
        mark = "[green]✓[/]" if outcome.passed else "[red]✗[/]"
        table.add_row(mark, outcome.name, outcome.detail, str(outcome.took_ms))
    output.print(table)
    failed = sum(not outcome.passed for outcome in outcomes)
    output.print(f"{len(outcomes) - failed} of {len(outcomes)} checks passed")
    raise typer.Exit(1 if failed else 0)


@app.command("test-message")
def play_message(*, data_dir: DataDir = None) -> None:
    """Play: a contact writes, the message is stored once, a reply is delivered."""
    _play(_settings(data_dir), message_flow)


@app.command("test-automation")
def play_automation(
    *,
    delay: Annotated[int, typer.Option("--delay", min=0, max=60_000, help="Milliseconds until the reply.")] = 1_000,
    data_dir: DataDir = None,
) -> None:
    """Play: a contact's message starts an automation, whose reply comes after its delay."""
    _play(_settings(data_dir), lambda stage: automation_flow(stage, delay_ms=delay))


@app.command("test-campaign")
def play_campaign(
    *,
    recipients: Annotated[int, typer.Option("--recipients", min=1, max=200, help="Simulated contacts.")] = 20,
    rate: Annotated[int, typer.Option("--rate", min=1, max=1_000, help="Messages a second at most.")] = 10,
    data_dir: DataDir = None,
) -> None:
    """Play: a campaign writes to every recipient once, within its rate limit."""
    settings = _settings(data_dir)
    campaign = settings.campaign.model_copy(update={"rate_max": rate, "rate_duration_ms": 1_000})
    flow = lambda stage: campaign_flow(stage, recipients=recipients, rate=rate)  # noqa: E731  one use, one line
    _play(settings, flow, campaign=campaign)


def _settings(data_dir: Any) -> Settings:  # noqa: ANN401  checked by its field
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    return settings


async def _counts(settings: Settings) -> dict[str, dict[str, Any]]:
    async with open_engines(settings) as engines, Connection.from_url(engines.redis_url) as connection:
        await reach_redis(connection)
        return await counts(open_queues(connection, prefix=settings.queue_prefix))


async def _checks(settings: Settings) -> list[Outcome]:
    async with open_engines(settings) as engines, Connection.from_url(engines.redis_url) as connection:
        await reach_redis(connection)
        return [outcome async for outcome in run_queue_checks(connection)]


def _play(settings: Settings, flow: Callable[[Stage], AsyncIterator[str]], **changed: object) -> None:
    try:
        run(_played(settings, flow, changed))
    except CheckFailed as error:
        output.print(f"[red]✗[/] {error}")
        raise typer.Exit(1) from None
    output.print("[green]passed[/], and nothing of it was left behind")


async def _played(settings: Settings, flow: Callable[[Stage], AsyncIterator[str]], changed: dict[str, object]) -> None:
    async with open_stage(settings, **changed) as stage:
        started = time.monotonic()
        async for step in flow(stage):
            ms = round((time.monotonic() - started) * 1_000)
            output.print(f"[green]✓[/] {step} [dim]({ms} ms)[/]", highlight=False)
