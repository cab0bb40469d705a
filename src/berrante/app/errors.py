"""What can keep the service from starting.

AppError
├── EngineUnreachable   a configured Redis or PostgreSQL does not answer
├── EngineUnfit         a configured Redis would lose jobs, or cannot take them
├── NotMigrated         the database's tables are not the newest
├── PortTaken           another program listens on the web side's port
├── SecretUnreadable    the development secret cannot be kept in the data folder
└── TracingUnavailable  traces are asked for, and cannot be sent
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar


class AppError(Exception):
    """Anything that the composition root raises on purpose."""

    code: ClassVar[str] = "app_error"


class EngineUnreachable(AppError):
    """A configured Redis or PostgreSQL does not answer; ``variable`` names where its address came from."""

    code = "engine_unreachable"

    def __init__(self, engine: str, *, variable: str, reason: str) -> None:
        super().__init__(f"{engine} does not answer: {reason}. Check {variable} and that the server runs")
        self.engine = engine
        self.variable = variable


class EngineUnfit(AppError):
    """A configured Redis would lose jobs, or cannot take them; the message has a remedy for each reason."""

    code = "engine_unfit"

    def __init__(self, engine: str, *, variable: str, reasons: Sequence[tuple[str, str]]) -> None:
        said = "; ".join(f"{reason}: {remedy}" for reason, remedy in reasons)
        super().__init__(f"{engine} of {variable} is not fit to hold queues: {said}")
        self.engine = engine
        self.variable = variable


class NotMigrated(AppError):
    """The database's tables are not the newest."""

    code = "not_migrated"

    def __init__(self, *, revision: str | None, newest: str) -> None:
        at = f"is at revision {revision}" if revision else "has no tables yet"
        super().__init__(f"the database {at}, and this version needs {newest}: run berrante migrate")
        self.revision = revision


class PortTaken(AppError):
    """Another program listens on the web side's port."""

    code = "port_taken"

    def __init__(self, host: str, port: int, *, reason: str, option: str = "--port") -> None:
        super().__init__(f"cannot listen on {host} port {port} ({reason}): choose another with {option}")
        self.host = host
        self.port = port


class SecretUnreadable(AppError):
    """The development secret cannot be kept in the data folder."""

    code = "secret_unreadable"

    def __init__(self, path: Path, *, reason: str) -> None:
        super().__init__(f"{path} cannot be read or made ({reason}): set BERRANTE_SECRET_KEY")
        self.path = path


class TracingUnavailable(AppError):
    """Traces are asked for, and cannot be sent."""

    code = "tracing_unavailable"

    def __init__(self, *, reason: str, remedy: str) -> None:
        super().__init__(f"BERRANTE_TRACES is otlp, and {reason}: {remedy}, or set BERRANTE_TRACES=none")
