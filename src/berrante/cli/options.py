"""Options that several commands share."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from berrante.app import WORKED
from berrante.messaging.queues import QueueName

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Folder of the embedded engines' data (BERRANTE_DATA_DIR).", show_default=False),
]
Host = Annotated[
    str | None, typer.Option("--host", help="Address to listen on (BERRANTE_HOST).", show_default="127.0.0.1")
]
Port = Annotated[
    int | None, typer.Option("--port", help="Port to listen on; 0: any (BERRANTE_PORT).", show_default="8000")
]
HealthPort = Annotated[
    int | None,
    typer.Option(
        "--health-port", help="Port of /health and /metrics alone (BERRANTE_HEALTH_PORT).", show_default="none"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object instead of a table.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]
QueueNames = Annotated[
    list[str] | None, typer.Option("--queue", help="Only this queue; may be given again.", show_default="all")
]

_NAMES: Final = ", ".join(name.value for name in WORKED)
_DURATION: Final = re.compile(r"(\d{1,9})(s|m|h|d)")
_UNIT_MS: Final = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def worked_queue(name: str) -> QueueName:
    """Return the queue of that name; raises ``BadParameter`` for one that nobody works on."""
    if name not in [worked.value for worked in WORKED]:
        raise typer.BadParameter(f"no worker works on {name!r}: choose from {_NAMES}")
    return QueueName(name)


def worked_queues(names: Sequence[str] | None) -> Sequence[QueueName]:
    """Return the named queues, or all that are worked on."""
    return [worked_queue(name) for name in names or []] or list(WORKED)


def duration_ms(text: str) -> int:
    """Read a duration such as ``30m``; raises ``BadParameter``.

    >>> duration_ms("24h"), duration_ms("90s")
    (86400000, 90000)
    """
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is not a duration: give a number and s, m, h or d, such as 24h")
    return int(found[1]) * _UNIT_MS[found[2]]
