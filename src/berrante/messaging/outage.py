"""A database that is away is nobody's failure: jobs wait for it, uncharged."""

import logging
from typing import Final

from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from berrante.engine import Handler, Job, Snooze

RETRY_MS: Final = 2_000
_AWAY: Final = (ConnectionError, InterfaceError, PoolTimeout)
#: Connection exceptions, no room or memory left, too many connections, shut down or starting up.
#: https://www.postgresql.org/docs/current/errcodes-appendix.html
_AWAY_STATES: Final = ("08", "53", "57P")
_log: Final = logging.getLogger(__name__)


def is_away(error: BaseException) -> bool:
    """Tell whether an error speaks of the database's condition, so that waiting helps, and not of the statement."""
    if isinstance(error, DBAPIError):
        state = getattr(error.orig, "sqlstate", None) or ""
        return error.connection_invalidated or isinstance(error, _AWAY) or state.startswith(_AWAY_STATES)
    # asyncpg raises its own errors bare while it connects; they carry the state too.
    return isinstance(error, _AWAY) or str(getattr(error, "sqlstate", "")).startswith(_AWAY_STATES)


def patient(handler: Handler) -> Handler:
    """Return the handler, but one that snoozes its job while the database is away instead of failing it.

    An outage of a minute would otherwise exhaust the attempts of every job that was taken during it.
    """

    async def handle(job: Job) -> object:
        try:
            return await handler(job)
        except Exception as error:
            if not is_away(error):
                raise
            return waits(job, error)

    return handle


def waits(job: Job, error: BaseException) -> Snooze:
    """Return the outcome of a job that the database was away for."""
    _log.warning("job %s of %s waits %d ms: the database is away: %s", job.id, job.queue_name, RETRY_MS, error)
    return Snooze(RETRY_MS)
