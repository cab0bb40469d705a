"""Idempotency: a request that is sent again is done once."""

from berrante.messaging.idempotency.service import (
    Begun,
    Differs,
    Done,
    IdempotencyKeys,
    KeptAnswer,
    Running,
)

__all__ = ["Begun", "Differs", "Done", "IdempotencyKeys", "KeptAnswer", "Running"]
