"""``berrante queues …``: counts, and smoke tests that play the real flow on the configured engines."""

import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import typer
from rich.text import Text

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
from berrante.cli.console import counting, log, output, run
from berrante.cli.options import DataDir, DryRun, QueueNames, Yes, duration_ms, worked_queues
from berrante.cli.tables import show
from berrante.engine import Connection, State
from berrante.engine.old_jobs import CLEANABLE
from berrante.messaging.maintenance import Cleaning, Rerunning
from berrante.messaging.queues import Queues, open_queues
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
    rows = []
    for name, numbers in found.items():
        shown = f"{name} (paused)" if numbers["paused"] else name
        rows.append([shown, *(str(numbers[state]) for state in states)])
    show(("queue", *states), rows)


@app.command("test")
def check(*, data_dir: DataDir = None) -> None:
    """Make ten checks of the queue system; exit 1 if one fails. No key stays behind."""
    outcomes = run(_checks(_settings(data_dir)))
    marks = {True: Text("✓", "green"), False: Text("✗", "red")}
    show(
        ("", "check", "measured", "ms"),
        [(marks[each.passed], each.name, each.detail, str(each.took_ms)) for each in outcomes],
    )
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


@app.command()
def clean(
    *,
    queue: QueueNames = None,
    state: Annotated[
        list[State] | None,
        typer.Option("--state", help="Only jobs of this state; may be given again.", show_default="completed, failed"),
    ] = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="Only jobs that ended (or were added) so long ago: 90s, 30m, 24h, 7d.")
    ] = "24h",
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Remove old jobs. Active jobs, a scheduler's next job and dead letters stay."""
    states = state or [State.COMPLETED, State.FAILED]
    if unfit := [each.value for each in states if each not in CLEANABLE]:
        raise typer.BadParameter(f"--state {unfit[0]} cannot be cleaned: choose from {', '.join(CLEANABLE)}")
    names, age_ms = worked_queues(queue), duration_ms(older_than)

    async def work(queues: Queues) -> None:
        cleaning = Cleaning(queues, names=names, states=states, older_than_ms=age_ms)
        found = [each for each in await cleaning.count() if each.jobs]
        total = sum(each.jobs for each in found)
        removed: Counter[tuple[str, str]] = Counter()
        if total and not dry_run and (yes or typer.confirm(f"{total} jobs will be removed; go on?", abort=True)):
            with counting("jobs removed", total=total) as progress:
                async for step in cleaning.remove():
                    removed[step.queue, step.state] += step.jobs
                    progress(removed.total())
        rows = [(each.queue, each.state, str(each.jobs), str(removed[each.queue, each.state])) for each in found]
        show(("queue", "state", "old jobs", "removed"), rows)
        output.print(f"{total} jobs would be removed" if dry_run else f"{removed.total()} jobs removed")

    run(_with_queues(_settings(data_dir), work))


@app.command("retry-failed")
def retry_failed(
    *,
    queue: QueueNames = None,
    reason: Annotated[
        str | None, typer.Option("--reason", help="Only jobs whose reason contains this.", show_default="any")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Jobs at most.", show_default="all")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Run failed jobs again, the oldest first, and complete their dead letters; what those put back is passed over."""
    names = worked_queues(queue)

    async def work(queues: Queues) -> None:
        rerunning = Rerunning(queues, names=names, reason=reason, limit=limit)
        results = await rerunning.count()
        total = sum(each.rerun for each in results)
        if total and not dry_run and (yes or typer.confirm(f"{total} jobs will run again; go on?", abort=True)):
            with counting("jobs to run again", total=total) as progress:
                results = await rerunning.rerun(progress)
        heads = ("queue", "failed, that fit", "would run again" if dry_run else "run again", "put back before")
        show(heads, [(each.queue, str(each.fit), str(each.rerun), str(each.put_back)) for each in results])
        done = sum(each.rerun for each in results)
        output.print(f"{done} jobs would run again" if dry_run else f"{done} jobs run again")

    run(_with_queues(_settings(data_dir), work))


def _settings(data_dir: Any) -> Settings:  # noqa: ANN401  checked by its field
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    return settings


async def _counts(settings: Settings) -> dict[str, dict[str, Any]]:
    async with open_engines(settings) as engines, Connection.from_url(engines.redis_url) as connection:
        await reach_redis(connection)
        return await counts(open_queues(connection, prefix=settings.queue_prefix))


async def _with_queues(settings: Settings, work: Callable[[Queues], Awaitable[None]]) -> None:
    async with open_engines(settings) as engines, Connection.from_url(engines.redis_url) as connection:
        await reach_redis(connection)
        await work(open_queues(connection, prefix=settings.queue_prefix))


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
