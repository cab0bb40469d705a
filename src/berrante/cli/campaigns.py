"""``berrante campaigns …``: follow and steer campaigns of all organizations, as the platform's owner."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from berrante.app import Application
from berrante.cli.console import log, output, run
from berrante.cli.options import DataDir
from berrante.cli.tables import Whole, pairs
from berrante.cli.tables import show as table
from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns.audience_file import take_file
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.rehearsal import chart
from berrante.settings import LogLevel, load

T = TypeVar("T")

#: What stands before a bar of a rehearsal: the hour and the number.
_BESIDE_BAR = 30

app = typer.Typer(help="Follow, pause, resume and account for campaigns.", no_args_is_help=True)

CampaignId = Annotated[UUID, typer.Argument(help="The campaign's id, as 'campaigns list' shows it.")]


@app.command("list")
def list_(*, data_dir: DataDir = None) -> None:
    """List the newest campaigns of every organization."""

    async def work(application: Application) -> None:
        rows = []
        for organization in await application.organizations.list():
            for each in await application.campaigns.list(organization.id, 20):
                counts = each.counts or {}
                sent = sum(counts.get(name, 0) for name in ("sent", "delivered", "read"))
                numbers = (
                    counts.get("planned", ""),
                    counts.get("open", ""),
                    sent if counts else "",
                    counts.get("failed", ""),
                )
                rows.append([str(each.id), organization.name, each.name, each.status, *map(str, numbers)])
        heads = (Whole("id"), "organization", "name", "status", "planned", "open", "sent", "failed")
        table(heads, rows)

    _with_application(data_dir, work)


@app.command()
def show(campaign_id: CampaignId, *, data_dir: DataDir = None) -> None:
    """Show a campaign and count its recipients now."""

    async def work(application: Application) -> None:
        campaign = await application.campaigns.find(campaign_id)
        progress = await application.campaigns.progress(campaign.organization_id, campaign_id)
        told = (
            ("name", campaign.name),
            ("status", campaign.status.value + (f": {campaign.reason}" if campaign.reason else "")),
            ("numbers", ", ".join(f"{name} ({weight})" for name, weight in campaign.numbers)),
            ("audience", campaign.audience.segment or "a list"),
            *progress.shown_counts().items(),
            ("excluded", ", ".join(f"{number} {reason}" for reason, number in progress.excluded.items()) or "nobody"),
            ("rate a minute", progress.rate_per_minute),
            ("ended", f"{campaign.finished_at:%Y-%m-%d %H:%M} UTC")
            if campaign.finished_at is not None
            else ("expected end", (campaign.counts or {}).get("expected_end") or "not known"),
        )
        pairs([(name, str(value)) for name, value in told])

    _with_application(data_dir, work)


@app.command()
def audience(
    campaign_id: CampaignId,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, readable=True, help="A CSV file, UTF-8.")],
    *,
    country: Annotated[
        str | None, typer.Option("--country", help="Two letters: numbers may be written as at home, for instance BR.")
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Make a CSV file the audience of a campaign that was not started: ``phone``, and what texts call ``params.…``."""

    async def work(application: Application) -> None:
        campaign = await application.campaigns.find(campaign_id)
        with file.open("rb") as source:
            taken = await take_file(
                application.database, campaign.organization_id, campaign_id, source, country=country
            )
        counts = await application.campaigns.audience(campaign.organization_id, campaign_id)
        output.print(f"{taken.rows:,} rows: {counts.pop('planned', 0):,} planned", highlight=False)
        for reason, number in counts.items():
            output.print(f"excluded: {number:,} {reason}", highlight=False)
        lacking = await application.campaign_account.lacking(campaign.organization_id, campaign_id)
        for name, number in lacking.items():
            output.print(f"without {name}: {number:,}", highlight=False)
        if taken.parameters:
            names = ", ".join(f"params.{name}" for name in taken.parameters)
            output.print(f"texts may name {names}", highlight=False)

    _with_application(data_dir, work)


@app.command()
def pause(campaign_id: CampaignId, *, data_dir: DataDir = None) -> None:
    """Pause a campaign: nothing is sent after the message that is on its way."""
    _move(campaign_id, data_dir, lambda app, each: app.campaigns.pause(each.organization_id, each.id))


@app.command()
def resume(campaign_id: CampaignId, *, data_dir: DataDir = None) -> None:
    """Let a paused campaign go on."""
    _move(campaign_id, data_dir, lambda app, each: app.campaigns.resume(each.organization_id, each.id))


@app.command()
def watch(campaign_id: CampaignId, *, data_dir: DataDir = None) -> None:
    """Follow a campaign with a progress bar until it ends or is paused."""

    async def work(application: Application) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rest]}"),
        )
        with Progress(*columns, console=output) as bar:
            campaign = await application.campaigns.find(campaign_id)
            task = bar.add_task(campaign.name, total=None, rest="")
            while True:
                campaign = await application.campaigns.find(campaign_id)
                progress = await application.campaigns.progress(campaign.organization_id, campaign_id)
                rest = f"{campaign.status}, {progress.rate_per_minute} a minute, {progress.failed} failed"
                bar.update(task, total=progress.planned, completed=progress.planned - progress.open, rest=rest)
                if campaign.status not in {Status.RUNNING, Status.SCHEDULED}:
                    return
                await asyncio.sleep(1)

    _with_application(data_dir, work)


@app.command()
def audit(campaign_id: CampaignId, *, data_dir: DataDir = None) -> None:
    """Account for every recipient; exit 1 if something does not fit."""

    async def work(application: Application) -> bool:
        campaign = await application.campaigns.find(campaign_id)
        ledger = await application.campaign_account.ledger(campaign.organization_id, campaign_id)
        output.print(
            f"planned {ledger.planned} = sent {ledger.sent} + failed {ledger.failed} + skipped {ledger.skipped}"
            f" + in doubt {ledger.in_doubt} + open {ledger.open}",
            highlight=False,
        )
        for reason, number in ledger.excluded.items():
            output.print(f"excluded: {number} {reason}", highlight=False)
        for cause in ledger.causes:
            named = f"{cause.status} ({cause.code})" if cause.code else cause.status
            output.print(f"{named}: {cause.count}: {cause.reason}", highlight=False)
        for each in ledger.mismatches:
            places = ", ".join(map(str, each.where))
            output.print(f"[red]✗[/] {each.kind}: {each.count}: {each.meaning} (positions {places})", highlight=False)
        if ledger.is_clean:
            output.print("[green]clean[/]: every recipient is accounted for")
        return ledger.is_clean

    raise typer.Exit(0 if _with_application(data_dir, work) else 1)


@app.command()
def rehearse(
    campaign_id: CampaignId,
    *,
    replies: Annotated[
        float | None,
        typer.Option("--replies", min=0, max=1, help="Share of those who answer; else as many as did lately."),
    ] = None,
    data_dir: DataDir = None,
) -> None:
    """Play a campaign on a virtual clock: when it would end, and how many are sent in each hour."""

    async def work(application: Application) -> None:
        campaign = await application.campaigns.find(campaign_id)
        played, excluded = await application.campaign_account.rehearse(
            campaign.organization_id, campaign_id, reply_share=replies
        )
        room = min(40, max(1, output.width - _BESIDE_BAR))
        for line in chart(played.hours, width=room):
            output.print(line, highlight=False)
        if played.others:
            output.print(f"beside {played.others:,} messages of other campaigns by the same numbers", highlight=False)
        for reason, number in excluded.items():
            output.print(f"excluded: {number} {reason}", highlight=False)
        if played.end_p50 is None or played.end_p90 is None:
            output.print(f"{played.recipients} recipients: it would take more than a year")
            return
        output.print(
            f"{played.recipients} recipients, from {played.start:%d %b %H:%M} to {played.end_p50:%d %b %H:%M} UTC"
            f" (nine of ten plays: {played.end_p90:%d %b %H:%M}; {played.runs} played)",
            highlight=False,
        )

    _with_application(data_dir, work)


def _move(
    campaign_id: UUID, data_dir: Path | None, move: Callable[[Application, Campaign], Awaitable[Campaign]]
) -> None:
    async def work(application: Application) -> None:
        moved = await move(application, await application.campaigns.find(campaign_id))
        output.print(f"{moved.name!r} is {moved.status}", highlight=False)

    _with_application(data_dir, work)


def _with_application(data_dir: Path | None, work: Callable[[Application], Awaitable[T]]) -> T:
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)

    async def opened() -> T:
        async with Application.open(settings) as application:
            return await work(application)

    return run(opened())
