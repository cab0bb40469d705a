"""Errors as Bull Board's UI reads them: ``{"error": {"key", "options"?}, "message"?, "code"?}``.

The UI shows the key in its user's language; ``message`` is for what it has no key for.
"""

from typing import Any

from starlette.responses import JSONResponse

from berrante.engine import EngineError, InvalidPayload, JobMissing
from berrante.engine.connection import is_unavailable
from berrante.messaging.outage import is_away

_NO_STORE = {"Cache-Control": "no-store"}


class BoardError(Exception):
    """Answers the request with one of Bull Board's errors; ``key`` is without its ``ERRORS.``."""

    def __init__(
        self,
        status: int,
        key: str,
        *,
        options: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        **details: Any,  # noqa: ANN401  whatever the UI reads beside the error
    ) -> None:
        super().__init__(key)
        self.status = status
        self.body = {"error": {"key": f"ERRORS.{key}"} | ({"options": options} if options else {}), **details}
        self.headers = headers

    def response(self) -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.body, status_code=self.status, headers=_NO_STORE | (self.headers or {}))


def invalid(key: str = "INVALID_REQUEST_BODY", *, field: str | None = None, message: str | None = None) -> BoardError:
    """Refuse what the request says; ``field`` is what is wrong."""
    details: dict[str, Any] = {"code": "INVALID_REQUEST"} | ({"message": message} if message else {})
    return BoardError(400, key, options={"field": field} if field else None, **details)


def details(key: str, **options: str) -> dict[str, Any]:
    """Return a longer text of the UI's own, to go along as ``message``."""
    return {"key": f"ERRORS.{key}"} | ({"options": options} if options else {})


def known(error: Exception) -> BoardError | None:
    """Tell what an error means to the UI; None if nobody foresaw it."""
    if isinstance(error, BoardError):
        return error
    if is_away(error):
        return BoardError(503, "INTERNAL_SERVER_ERROR", message="the database is away: try again soon")
    if is_unavailable(error):
        return BoardError(503, "REDIS_UNAVAILABLE", message="Redis is away: try again soon")
    return _of_engine(error)


def _of_engine(error: Exception) -> BoardError | None:
    if isinstance(error, JobMissing):
        return BoardError(404, "JOB_NOT_FOUND")
    if isinstance(error, InvalidPayload):
        return invalid(message=str(error))
    # It ran into something that changed meanwhile: the text says what.
    return BoardError(409, "INTERNAL_SERVER_ERROR", message=str(error)) if isinstance(error, EngineError) else None


def unforeseen() -> BoardError:
    """Answer for an error of ours; it tells nothing of our inside."""
    return BoardError(500, "INTERNAL_SERVER_ERROR", message="something went wrong here; it is in the log")
