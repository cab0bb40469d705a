"""How errors look on the wire: ``{"error": {"code", "message", "field"?}}``, with the status that fits.

Codes are stable words for programs; messages are for people and may change.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from berrante.engine.connection import is_unavailable
from berrante.messaging.errors import GatewayMissing, Invalid, MessagingError, Missing, Taken, WrongState
from berrante.messaging.outage import is_away

_Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]
_STATUS: Final[dict[type[MessagingError], int]] = {
    Invalid: 422,
    Missing: 404,
    Taken: 409,
    WrongState: 409,
    GatewayMissing: 503,
}
_CODES: Final = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}
#: Where in a request a field may stand; part of FastAPI's location and of no interest to the caller.
_PLACES: Final = frozenset({"body", "query", "path", "header"})
_AWAY_S: Final = 2


class WebError(Exception):
    """Answers the request with an error; ``headers`` go along."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.headers = headers


def answer(
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    details: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Return an error's response; ``details`` are for programs."""
    error: dict[str, Any] = {"code": code, "message": message}
    error |= ({"field": field} if field else {}) | ({"details": dict(details)} if details else {})
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Have the app answer all errors in the one form."""
    handlers: dict[type[Exception], _Handler] = {
        WebError: _web,
        MessagingError: _domain,
        RequestValidationError: _malformed,
        HTTPException: _http,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def unexpected(error: Exception) -> JSONResponse:
    """Answer an error that nobody foresaw, or that speaks of an engine's condition; it tells nothing of our inside."""
    if is_away(error) or is_unavailable(error):
        return _away("the database is away" if is_away(error) else "Redis is away")
    return answer(500, "internal_error", "something went wrong here; it is in the log")


async def _web(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, WebError)
    return answer(error.status, error.code, str(error), field=error.field, headers=error.headers)


async def _domain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MessagingError)
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    return answer(
        status, error.code, str(error), field=getattr(error, "field", None), details=getattr(error, "details", None)
    )


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"] if part not in _PLACES)
    return answer(422, "invalid", f"{where or 'request'}: {first['msg']}", field=where or None)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return answer(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail), headers=headers)


def _away(what: str) -> JSONResponse:
    return answer(503, "unavailable", f"{what}: try again soon", headers={"Retry-After": str(_AWAY_S)})
