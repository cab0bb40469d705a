"""Puts the board on the web side."""

from collections.abc import Mapping
from typing import Final

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from berrante.engine import Queue
from berrante.messaging.queues import QueueName
from berrante.settings import Settings
from berrante.telemetry import events
from berrante.web.board.app import Board, FindQueues
from berrante.web.board.describing import DESCRIPTIONS
from berrante.web.board.guarding import Guard, Identity, OnWrite
from berrante.web.board.options import BoardOptions
from berrante.web.services import Services

PATH: Final = "/admin/queues"
_COMPRESSED_FROM: Final = 1_024  # bytes


async def log_write(identity: Identity, action: str, queue: str | None, job_id: str | None) -> None:
    """Write the change to the log."""
    events.BOARD_WRITE(person=identity.id, action=action, queue=queue, job_id=job_id)


def options_of(settings: Settings) -> BoardOptions:
    """Return what the settings say of the board."""
    of = settings.board
    return BoardOptions(read_only=of.read_only, environment=of.environment, descriptions=DESCRIPTIONS)


def mount(app: FastAPI, guard: Guard, *, on_write: OnWrite = log_write, options: BoardOptions | None = None) -> None:
    """Serve Bull Board at ``/admin/queues`` over all queues of the app's services.

    ``guard`` decides who comes in; ``on_write`` is awaited before each change, and if it raises there is none.
    """
    board = Board(_finding(app.state.application), guard, on_write, options or BoardOptions(descriptions=DESCRIPTIONS))
    app.mount(PATH, GZipMiddleware(board, minimum_size=_COMPRESSED_FROM), name="board")


def _finding(of: Services) -> FindQueues:
    def queues() -> Mapping[str, Queue]:
        return {name.value: of.queues[name] for name in QueueName}

    return queues
