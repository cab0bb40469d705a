"""One id for all that one request or message brought about: it goes through the queues with the jobs.

The id is a W3C trace id, and jobs carry it where BullMQ's own telemetry puts it, so that OpenTelemetry in Node goes on
with the same trace. Nothing here needs OpenTelemetry.
"""

import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import structlog

_PARENT: Final = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_NONE: Final = "0" * 32
_current: Final[ContextVar[str | None]] = ContextVar("berrante_trace", default=None)


def trace_id() -> str | None:
    """Return the id of what is being done, None outside of any."""
    return _current.get()


def carrier() -> str | None:
    """Return what a job carries of it (the engine's ``TraceContext``)."""
    found = _current.get()
    return None if found is None else json.dumps({"traceparent": f"00-{found}-{secrets.token_hex(8)}-01"})


def carried(text: str | None) -> str | None:
    """Read the id from what a job carries, or from a request's ``traceparent``; None if there is none.

    >>> carried('{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}')
    '4bf92f3577b34da6a3ce929d0e0e4736'
    """
    found = _PARENT.search(text or "")
    return found[1] if found and found[1] != _NONE else None


@contextmanager
def continued(text: str | None) -> Iterator[str]:
    """Go on with the trace that is carried in ``text``, or begin one; log lines of the block carry ``trace_id``."""
    found = carried(text) or secrets.token_hex(16)
    token = _current.set(found)
    try:
        with structlog.contextvars.bound_contextvars(trace_id=found):
            yield found
    finally:
        _current.reset(token)
