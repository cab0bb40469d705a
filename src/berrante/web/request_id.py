"""The id of the request that is being answered: the caller's ``X-Request-Id`` if it is a fit one, else a new one."""

import re
from contextvars import ContextVar
from typing import Final

from berrante.store import new_id

HEADER: Final = b"x-request-id"
_FIT: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")

current: Final[ContextVar[str | None]] = ContextVar("berrante_request_id", default=None)


def chosen(given: bytes | None) -> str:
    """Return the request's id."""
    text = (given or b"").decode("latin-1")
    return text if _FIT.fullmatch(text) else f"req_{new_id().hex}"
