"""The error body as the OpenAPI document shows it."""

from typing import Any, Final

from pydantic import BaseModel


class ViolationOut(BaseModel):
    """One field that cannot be accepted, and why."""

    field: str
    message: str


class ErrorDetail(BaseModel):
    """``code`` is a stable word; ``request_id`` finds the request in the log."""

    code: str
    message: str
    details: dict[str, Any]
    request_id: str | None
    violations: list[ViolationOut]
    field: str | None = None


class ErrorOut(BaseModel):
    """The one form of all errors."""

    error: ErrorDetail


def _shown(description: str, code: str, message: str, **details: object) -> dict[str, Any]:
    error = {
        "code": code,
        "message": message,
        "details": details,
        "request_id": "req_019a3b0c6d4e7f8091a2b3c4d5e6f708",
        "violations": [{"field": "name", "message": message}] if code == "invalid" else [],
    }
    return {
        "model": ErrorOut,
        "description": description,
        "content": {"application/json": {"example": {"error": error}}},
    }


_LIMITED: Final = {
    "Retry-After": "Seconds after which it is worth to ask again.",
    "X-RateLimit-Limit": "What the organization, or the key in a minute, may use.",
    "X-RateLimit-Remaining": "What is left of it.",
    "X-RateLimit-Reset": "Seconds until all of it is there again.",
}
#: What any route may answer; a router takes it as ``responses``.
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: _shown("The request cannot be read.", "bad_request", "the body is no JSON"),
    401: _shown("Nobody is named, or nobody known.", "unauthorized", "this API key is not known"),
    403: _shown("The caller may not do this.", "scope_missing", "this API key has no scope 'messages.write'"),
    404: _shown("It is not there, or another organization's.", "missing", "no such contact: '7'"),
    409: _shown("It clashes with what is there.", "taken", "instance 'sales' exists already: choose another"),
    413: _shown("The body is too large.", "body_too_large", "the body has more than 262144 bytes"),
    422: _shown("A value cannot be accepted.", "invalid", "name has 0 characters: give 1 to 200"),
    429: {
        **_shown("Too many requests, or a quota is used up.", "rate_limited", "too many requests", limit=6000),
        "headers": {name: {"description": said, "schema": {"type": "integer"}} for name, said in _LIMITED.items()},
    },
    503: _shown("Redis or the database is away.", "unavailable", "the database is away: try again soon"),
}
