"""How errors look on the wire, with the status that fits.

``{"error": {"code", "message", "details", "request_id", "violations": [{"field", "message"}], "field"?}}``; codes are
stable words for programs, messages are for people and may change, and ``field`` is the first violation's.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from berrante.engine.connection import is_unavailable
from berrante.gateways.baileys import BaileysError, NumberUnknown
from berrante.gateways.media import MediaStoreUnavailable
from berrante.messaging.errors import (
    Busy,
    Denied,
    GatewayMissing,
    GatewayRefused,
    GatewaySilent,
    Invalid,
    LockedOut,
    LoginFailed,
    MessagingError,
    Missing,
    NotSupported,
    QuotaExceeded,
    RefreshRaced,
    SessionEnded,
    Taken,
    WrongState,
)
from berrante.messaging.outage import is_away
from berrante.web import request_id

_log: Final = logging.getLogger(__name__)
_Handler = Callable[[Request, Exception], Awaitable[JSONResponse]]
_STATUS: Final[dict[type[MessagingError], int]] = {
    Invalid: 422,
    Missing: 404,
    Taken: 409,
    WrongState: 409,
    Denied: 403,
    LoginFailed: 401,
    SessionEnded: 401,
    RefreshRaced: 409,
    LockedOut: 429,
    QuotaExceeded: 429,
    Busy: 429,
    NotSupported: 422,
    GatewayRefused: 409,
    GatewaySilent: 503,
    GatewayMissing: 503,
}
_CODES: Final = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
}
#: Where in a request a field may stand; part of FastAPI's location and of no interest to the caller.
_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})
_SHOWN: Final = 50
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
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.field = field
        self.headers = headers
        self.details = details


def answer(
    status: int,
    code: str,
    message: str,
    *,
    field: str | None = None,
    headers: dict[str, str] | None = None,
    details: dict[str, Any] | None = None,
    violations: list[dict[str, str]] | None = None,
) -> JSONResponse:
    """Return an error's response."""
    error: dict[str, Any] = {
        "code": code,
        "message": message,
        "details": details or {},
        "request_id": request_id.current.get(),
        "violations": violations or ([{"field": field, "message": message}] if field else []),
    }
    if field:
        error["field"] = field
    return JSONResponse({"error": error}, status_code=status, headers=headers)


def install(app: FastAPI) -> None:
    """Have the app answer all errors in the one form."""
    handlers: dict[type[Exception], _Handler] = {
        WebError: _web,
        MessagingError: _domain,
        BaileysError: _baileys,
        MediaStoreUnavailable: _media_away,
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
    return answer(error.status, error.code, str(error), field=error.field, headers=error.headers, details=error.details)


async def _domain(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MessagingError)
    status = next((status for kind, status in _STATUS.items() if isinstance(error, kind)), 500)
    details: dict[str, Any] = getattr(error, "details", {})
    headers: dict[str, str] = {}
    if isinstance(error, GatewayRefused) and error.passes:
        status, headers["Retry-After"] = 503, str(error.retry_after_s)
    if isinstance(error, LockedOut | QuotaExceeded | Busy | GatewaySilent):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, QuotaExceeded):
        details = {"quota": error.quota, "limit": error.limit, "used": error.used}
        headers["X-RateLimit-Limit"] = str(error.limit)
        headers["X-RateLimit-Remaining"] = str(max(0, error.limit - error.used))
        headers["X-RateLimit-Reset"] = str(error.retry_after_s)
    field = getattr(error, "field", None)
    return answer(status, error.code, str(error), field=field, headers=headers, details=details)


async def _baileys(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, BaileysError)
    return answer(404 if isinstance(error, NumberUnknown) else 503, error.code, str(error))


async def _media_away(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, MediaStoreUnavailable)
    # Where the store is and what is wrong with it is for its operator: /health/media and the log have it.
    _log.error("%s", error)
    return _away("the media store is away")


async def _malformed(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    found = error.errors()
    violations = [{"field": _where(each["loc"]), "message": str(each["msg"])} for each in found[:_SHOWN]]
    first = violations[0]
    message = f"{first['field'] or 'request'}: {first['message']}"
    return answer(422, "invalid", message, field=first["field"] or None, violations=violations)


async def _http(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers) if error.headers else None
    return answer(error.status_code, _CODES.get(error.status_code, "error"), str(error.detail), headers=headers)


def _where(location: tuple[Any, ...]) -> str:
    # The first part says where in the request; a field may be called so too.
    parts = location[1:] if location and location[0] in _PLACES else location
    return ".".join(str(part) for part in parts)


def _away(what: str) -> JSONResponse:
    return answer(503, "unavailable", f"{what}: try again soon", headers={"Retry-After": str(_AWAY_S)})
