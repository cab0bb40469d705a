"""Where commands write: results to standard output, everything else to standard error."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from berrante.settings import LogFormat, LogLevel, Settings, unknown_variables
from berrante.telemetry import configure, events

T = TypeVar("T")

#: A table that goes into a file or a pipe is as wide as this, not as some terminal, unless COLUMNS says otherwise.
_WIDE: Final = 200
output: Final = Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else _WIDE)
errors: Final = Console(stderr=True)


def log(settings: Settings, *, level: LogLevel | None = None) -> None:
    """Begin to log as the settings say, or at another level; warns of variables that nothing reads."""
    configure(level=level or settings.log_level, json=settings.log_format is LogFormat.JSON)
    for variable, meant in unknown_variables().items():
        hint = f"did you mean {meant}?" if meant else "no setting has this name: berrante settings lists them"
        events.SETTING_UNKNOWN(variable=variable, meant=meant, hint=hint)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@contextmanager
def counting(what: str, *, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while the block runs; call what is yielded with how many are done so far."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=not errors.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done, total=max(total, done))
