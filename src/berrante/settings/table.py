"""Writes ``docs/settings.md`` from the typed settings, so that the two cannot differ."""

from typing import Final

from pydantic import BaseModel, SecretStr

from berrante.settings.loading import variables
from berrante.settings.model import Settings
from berrante.settings.sections import QueueSettings

_HEAD: Final = """\
# Settings

Berrante is set by environment variables alone. A value that cannot be read ends the command with exit code 2 and a
sentence that names the variable; a variable that starts with `BERRANTE_` and is not listed here is warned of at the
start. `berrante settings` prints what holds now, with secrets hidden; `berrante settings --markdown` writes this page.

## The process

| variable | default | meaning |
|---|---|---|
"""

_QUEUES: Final = """
## The queues

Each line is one variable per queue: `BERRANTE_<QUEUE>_<NAME>`, for instance `BERRANTE_CAMPAIGN_RATE_MAX`. A rate
holds for the whole queue, over all worker processes; that of `campaign` is of messages, for each number of a campaign
that names no pace of its own.

"""


def markdown() -> str:
    """Return the page."""
    queues = [name for name, field in Settings.model_fields.items() if field.annotation is QueueSettings]
    lines = [
        f"| `{variable}` | {_default(path)} | {_description(path)} |\n"
        for variable, path in variables()
        if path[0] not in queues
    ]
    head = f"| name | {' | '.join(f'`{name}`' for name in queues)} | meaning |\n|{'---|' * (len(queues) + 2)}\n"
    table = [
        f"| `{inner.upper()}` | {' | '.join(_default((queue, inner)) for queue in queues)} | {field.description} |\n"
        for inner, field in QueueSettings.model_fields.items()
    ]
    return "".join([_HEAD, *lines, _QUEUES, head, *table])


def _default(path: tuple[str, ...]) -> str:
    value = Settings.model_fields[path[0]].default
    for name in path[1:]:
        value = getattr(value, name)
    return "-" if value is None else f"`{value}`"


def _description(path: tuple[str, ...]) -> str:
    field = Settings.model_fields[path[0]]
    for name in path[1:]:
        kind = field.annotation
        assert isinstance(kind, type)
        assert issubclass(kind, BaseModel)
        field = kind.model_fields[name]
    return str(field.description)


def values(settings: Settings) -> list[tuple[str, str, str]]:
    """Return every variable with its value now and its default; a secret is only said to be set."""
    rows: list[tuple[str, str, str]] = []
    for variable, path in variables():
        value: object = settings
        for name in path:
            value = getattr(value, name)
        shown = "-" if value is None else "set (hidden)" if isinstance(value, SecretStr) else str(value)
        rows.append((variable, shown, _default(path).strip("`")))
    return rows
