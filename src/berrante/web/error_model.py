"""Errors as the OpenAPI document shows them."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict


class ErrorDetail(BaseModel):
    """``code`` is for programs and stable; ``message`` is for people; ``field`` is what could not be accepted."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str
    field: str | None = None


class ErrorOut(BaseModel):
    """How every error is answered."""

    error: ErrorDetail


def _answer(meaning: str, code: str, message: str, **more: str) -> dict[str, Any]:
    example = {"error": {"code": code, "message": message, **more}}
    return {"model": ErrorOut, "description": meaning, "content": {"application/json": {"example": example}}}


#: The errors that any route of ``/v1`` may answer; give it to a router as ``responses``.
ERRORS: Final[dict[int | str, dict[str, Any]]] = {
    400: _answer("The request cannot be read.", "bad_request", "There was an error parsing the body"),
    401: _answer("No key, or none that opens anything.", "unauthorized", "this API key is not known, or was revoked"),
    404: _answer("Not there, or another organization's.", "missing", "no such contact: '7'"),
    409: _answer("Against what is there already.", "taken", "contact '+5511987654321' exists already: choose another"),
    413: _answer("The body is too large.", "body_too_large", "the body has more than 262144 bytes"),
    422: _answer("A value cannot be accepted.", "invalid", "name has 0 characters: give 1 to 200", field="name"),
    503: _answer("An engine is away.", "unavailable", "the database is away: try again soon"),
}
