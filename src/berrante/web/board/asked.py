"""What a request asks of the board: the same for every handler."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from berrante.engine import Job, Queue
from berrante.web.board.options import BoardOptions

Json = Any
#: A handler's answer; None is ``204 No Content``.
Answer = Json | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A request, read: its parameters by name, and its JSON body ({} if there is none)."""

    queues: Mapping[str, Queue]
    options: BoardOptions
    params: Mapping[str, str]
    query: Mapping[str, str]
    body: Json


OfBoard = Callable[[Asked], Awaitable[Answer]]
OfQueue = Callable[[Asked, Queue], Awaitable[Answer]]
OfJob = Callable[[Asked, Queue, Job], Awaitable[Answer]]
