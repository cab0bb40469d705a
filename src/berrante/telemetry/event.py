"""One kind of log event: its name, its level and the only fields that it may have."""

import logging
from dataclasses import dataclass
from typing import Any, Final, Literal

import structlog

Level = Literal["debug", "info", "warning", "error"]

_LEVELS: Final = {name.lower(): number for name, number in logging.getLevelNamesMapping().items()}
_logger: Final = structlog.stdlib.get_logger("berrante")


class UnknownField(TypeError):
    """An event was given a field that the table does not list."""

    code = "unknown_field"

    def __init__(self, event: str, fields: set[str]) -> None:
        super().__init__(f"log event {event!r} has no field {', '.join(sorted(fields))}: add it to telemetry/events.py")


@dataclass(frozen=True, slots=True)
class LogEvent:
    """Call it with its fields to log it; a field that is None is left out.

    Raises ``UnknownField``, so that ``docs/events.md`` cannot be wrong.
    """

    name: str
    level: Level
    fields: tuple[str, ...]
    meaning: str

    @property
    def is_on(self) -> bool:
        """Tell whether the event would be written at all: cheaper than making fields for nothing."""
        return logging.getLogger("berrante").isEnabledFor(_LEVELS[self.level])

    def __call__(self, **fields: Any) -> None:  # noqa: ANN401  whatever can be printed
        if unknown := fields.keys() - set(self.fields):
            raise UnknownField(self.name, unknown)
        if not self.is_on:
            return
        given = {name: value for name, value in fields.items() if value is not None}
        getattr(_logger, self.level)(self.name, **given)
