"""Who works on a queue, as the server lists its clients."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from berrante.engine.wire.keys import QueueKeys


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerInfo:
    """A worker's connection, ours or Node's; ``id`` is the server's, ``name`` None if the worker was given none."""

    id: str
    name: str | None
    address: str
    age_s: int


def workers_among(clients: Sequence[Mapping[str, Any]], keys: QueueKeys) -> tuple[WorkerInfo, ...]:
    """Pick a queue's workers out of the answer to ``CLIENT LIST``.

    >>> client = {"id": "7", "name": "bull:cQ==:w:left", "addr": "127.0.0.1:5", "age": "3"}
    >>> workers_among([client], QueueKeys("q"))
    (WorkerInfo(id='7', name='left', address='127.0.0.1:5', age_s=3),)
    """
    unnamed = keys.client_name()
    named = f"{unnamed}:w:"
    return tuple(
        WorkerInfo(
            id=str(client["id"]),
            name=client["name"].removeprefix(named) if client["name"] != unnamed else None,
            address=client["addr"],
            age_s=int(client["age"]),
        )
        for client in clients
        if client["name"] == unnamed or client["name"].startswith(named)
    )
