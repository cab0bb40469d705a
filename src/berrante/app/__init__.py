"""The composition root: opens everything that a process of the service needs, runs it, and closes it in order."""

from berrante.app.application import Application
from berrante.app.engines import Engines, open_engines
from berrante.app.errors import AppError, EngineUnfit, EngineUnreachable, NotMigrated, PortTaken
from berrante.app.options import WORKED

__all__ = [
    "WORKED",
    "AppError",
    "Application",
    "EngineUnfit",
    "EngineUnreachable",
    "Engines",
    "NotMigrated",
    "PortTaken",
    "open_engines",
]
