"""Who is asking: an organization's API key, in ``Authorization: Bearer`` or ``X-API-Key``."""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from berrante.messaging.api_keys import ApiKey
from berrante.web.errors import WebError
from berrante.web.services import services

# Both only describe themselves in the OpenAPI document: with auto_error they would answer in another form than ours.
_bearer = HTTPBearer(auto_error=False, scheme_name="bearer", description="An organization's API key.")
_header = APIKeyHeader(name="X-API-Key", auto_error=False, scheme_name="key", description="The same key.")


async def current_key(
    request: Request,
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
    header: Annotated[str | None, Depends(_header)],
) -> ApiKey:
    """Return the key that the request carries; 401 without one, or with one that opens nothing."""
    secret = bearer.credentials if bearer else header
    if not secret:
        raise _unauthorized("no API key: send the header 'Authorization: Bearer <key>'")
    key = await services(request).api_keys.verify(secret)
    if key is None:
        raise _unauthorized("this API key is not known, or was revoked", challenge='Bearer error="invalid_token"')
    return key


def _unauthorized(message: str, *, challenge: str = "Bearer") -> WebError:
    return WebError(401, "unauthorized", message, headers={"WWW-Authenticate": challenge})


CurrentKey = Annotated[ApiKey, Depends(current_key)]
