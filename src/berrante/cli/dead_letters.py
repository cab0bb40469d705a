"""``berrante dead-letters …``: what failed for good, by cause, and what becomes of it."""

import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import typer

from berrante.app import open_engines
from berrante.app.reaching import reach_database, reach_redis
from berrante.cli.console import counting, log, output, run
from berrante.cli.options import AsJson, DataDir, Yes
from berrante.cli.tables import Whole, pairs
from berrante.cli.tables import show as table
from berrante.engine import Connection
from berrante.engine.connection import system_clock
from berrante.messaging.clock import moment
from berrante.messaging.dead_letters import Group as LetterGroup
from berrante.messaging.dead_letters import Groups, Healing, Letter, Selection, Triage, Triaged
from berrante.messaging.queues import open_queues
from berrante.settings import LogLevel, load
from berrante.store import Database

app = typer.Typer(help="Jobs that failed for good: look, put back, discard.", no_args_is_help=True)

T = TypeVar("T")
LetterId = Annotated[str | None, typer.Argument(metavar="[LETTER]", help="One letter's id.", show_default=False)]
Group = Annotated[
    str | None, typer.Option("--group", help="A group's id, as `groups` shows it.", show_default="all groups")
]
QueueOption = Annotated[
    str | None, typer.Option("--queue", help="Only letters of this queue.", show_default="all queues")
]
Organization = Annotated[
    str | None, typer.Option("--organization", help="Only this organization's letters, by its id.", show_default="all")
]
All = Annotated[bool, typer.Option("--all", help="All letters.")]


@app.command("list")
def show_list(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1_000, help="Letters at most.")] = 50,
    after: Annotated[int | None, typer.Option("--after", min=1, help="The place that the former page named.")] = None,
    group: Group = None,
    queue: QueueOption = None,
    organization: Organization = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """List letters, the newest first."""
    selection = Selection(organization_id=organization, group=group, queue=queue)
    page = _run(data_dir, lambda triage: triage.list(selection, limit=limit, at=after))
    if as_json:
        print(json.dumps({"data": [_as_json(letter) for letter in page.letters], "next": page.next}))
        return
    rows = [
        (each.id, _time(each.failed_at_ms), each.cause.queue, each.name, each.cause.id, each.reason[:120])
        for each in page.letters
    ]
    table((Whole("letter"), "failed", "queue", "job", Whole("group"), "reason"), rows)
    if page.next:
        output.print(f"there are more: --after {page.next}")


@app.command()
def show(
    letter_id: Annotated[str, typer.Argument(metavar="LETTER", help="Its id.")],
    *,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Show one letter with its data and traces."""
    letter = _run(data_dir, lambda triage: triage.get(letter_id))
    if as_json:
        print(json.dumps(_as_json(letter)))
        return
    pairs(
        [
            (name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
            for name, value in _as_json(letter).items()
            if name not in {"stacktrace", "readable"} and value is not None
        ]
    )
    for number, trace in enumerate(letter.stacktrace, 1):
        output.print(f"\nattempt {number}\n{trace}", markup=False, highlight=False)


@app.command()
def groups(
    *,
    queue: QueueOption = None,
    organization: Organization = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Count letters by cause, the largest group first, each with what to do."""
    selection = Selection(organization_id=organization, queue=queue)
    found: Groups = _run(data_dir, lambda triage: triage.groups(selection))
    largest = _healed(data_dir, found.largest_first())
    if as_json:
        listed = [{"id": group.id, **dataclasses.asdict(group)} for group in largest]
        print(json.dumps({"data": listed, "left_out": found.left_out}))
        return
    rows = []
    for group in largest:
        parts = (group.cause.queue, group.cause.code, group.cause.scope, group.cause.template, group.cause.number)
        cause = " · ".join(part for part in parts if part)
        times = (_time(group.first_at_ms), _time(group.last_at_ms))
        rows.append((group.id, str(group.count), cause, *times, group.remedy))
    table((Whole("group"), "letters", "cause", "first", "last", "what to do"), rows)
    if found.left_out:
        output.print(f"and {found.left_out} letters of further causes")


@app.command()
def retry(
    letter_id: LetterId = None,
    *,
    group: Group = None,
    queue: QueueOption = None,
    organization: Organization = None,
    every: All = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Put jobs back into their queues: one letter's, a group's, a queue's, or all. Safe to repeat."""
    if letter_id is not None:
        done = _run(data_dir, lambda triage: triage.retry(letter_id))
        output.print(f"job {done.job_id} waits in queue {done.queue}", markup=False, highlight=False)
        return
    selection = _wanted(group=group, queue=queue, organization=organization, every=every)
    _act(data_dir, selection, "put back", Triage.retry_all, yes=yes)


@app.command()
def discard(
    letter_id: LetterId = None,
    *,
    group: Group = None,
    queue: QueueOption = None,
    organization: Organization = None,
    every: All = False,
    yes: Yes = False,
    data_dir: DataDir = None,
) -> None:
    """Remove letters for good: one, a group, a queue's, or all."""
    if letter_id is not None:
        _run(data_dir, lambda triage: triage.discard(letter_id))
        output.print(f"discarded {letter_id}", markup=False, highlight=False)
        return
    selection = _wanted(group=group, queue=queue, organization=organization, every=every)
    _act(data_dir, selection, "discarded", Triage.discard_all, yes=yes)


def _wanted(*, group: str | None, queue: str | None, organization: str | None, every: bool) -> Selection:
    if not (group or queue or organization or every):
        raise typer.BadParameter("say which letters: a letter's id, --group, --queue, --organization or --all")
    return Selection(organization_id=organization, group=group, queue=queue)


def _act(
    data_dir: Any,  # noqa: ANN401  checked by its field
    selection: Selection,
    done_word: str,
    action: Callable[..., Awaitable[Triaged]],
    *,
    yes: bool,
) -> None:
    async def count(triage: Triage) -> int:
        found = await triage.groups(selection)
        return sum(group.count for group in found.largest_first()) + found.left_out

    number = _run(data_dir, count)
    if number and not yes:
        typer.confirm(f"{number} letters will be {done_word}; go on?", abort=True)
    with counting(f"letters {done_word}", total=number) as progress:
        triaged = _run(data_dir, lambda triage: action(triage, selection, progress=progress))
    output.print(f"{triaged.done} letters {done_word}")
    if triaged.passed_over:
        output.print(f"{triaged.passed_over} passed over: they cannot be read as jobs; discard them", style="yellow")


@asynccontextmanager
async def _opened(data_dir: Any) -> AsyncIterator[Triage]:  # noqa: ANN401  checked by its field
    settings = load(data_dir=data_dir)
    log(settings, level=LogLevel.WARNING)
    async with open_engines(settings) as engines, Connection.from_url(engines.redis_url) as connection:
        await reach_redis(connection)
        yield Triage(open_queues(connection, prefix=settings.queue_prefix).dead_letters, connection.now_ms)


def _healed(data_dir: Any, groups: list[LetterGroup]) -> list[LetterGroup]:  # noqa: ANN401  checked by its field
    async def marked() -> list[LetterGroup]:
        async with open_engines(load(data_dir=data_dir)) as engines:
            database = Database(engines.database_url)
            try:
                await reach_database(database)
                await Healing(database, system_clock).mark(groups, organization_id=None)
            finally:
                await database.close()
        return groups

    return run(marked())


def _run(data_dir: Any, work: Callable[[Triage], Awaitable[T]]) -> T:  # noqa: ANN401  checked by its field
    async def worked() -> T:
        async with _opened(data_dir) as triage:
            return await work(triage)

    return run(worked())


def _as_json(letter: Letter) -> dict[str, Any]:
    return {**dataclasses.asdict(letter), "group": letter.cause.id}


def _time(ms: int) -> str:
    return moment(ms).isoformat(sep=" ", timespec="seconds")
