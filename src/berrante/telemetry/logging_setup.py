"""Makes our events and other libraries' log records come out as one stream."""

import logging
import sys
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from berrante.telemetry.privacy import scrub

#: Only their warnings are of use: below that, they say what our own events say better.
_QUIET: Final = ("alembic", "asyncio", "httpcore", "httpx", "uvicorn", "uvicorn.error")
#: What a person who watches the flow can do without; machines get all of it, and so do people when something is wrong.
_LONG: Final = ("organization_id", "job", "job_id", "queue", "attempt", "trace_id")
_CONSOLE_TIME: Final = "%H:%M:%S.%f"


def configure(*, level: str = "info", json: bool = False, stream: TextIO | None = None) -> None:
    """Send all logs of the process to ``stream`` (standard error), as lines for people or as JSON; may be called again.

    Records of uvicorn, SQLAlchemy and the like are scrubbed and written in the same way.
    """
    output = stream or sys.stderr
    stamp = structlog.processors.TimeStamper(fmt="iso" if json else _CONSOLE_TIME, utc=json)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        stamp,
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.PositionalArgumentsFormatter(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(output, json=json)],
        )
    )
    root = logging.getLogger()
    for old in list(root.handlers):
        if getattr(old, "_is_berrantes", False):
            root.removeHandler(old)
    handler._is_berrantes = True  # type: ignore[attr-defined]
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _rendering(output: TextIO, *, json: bool) -> list[Processor]:
    # Tracebacks become text first, so that they are scrubbed too.
    traced: list[Processor] = [structlog.processors.format_exc_info, scrub]
    if json:
        return [*traced, structlog.processors.JSONRenderer(ensure_ascii=False, sort_keys=False, default=str)]
    return [
        *traced,
        _shortened,
        structlog.dev.ConsoleRenderer(colors=output.isatty(), pad_event_to=20, sort_keys=False),
    ]


def _shortened(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    if event.get("level") == "info":
        for name in _LONG:
            event.pop(name, None)
    return event
