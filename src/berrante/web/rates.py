"""The limit of requests per key or person: ``X-RateLimit-*`` on every answer, 429 when it is reached."""

from uuid import UUID

from fastapi import Request

from berrante.engine.connection import is_unavailable
from berrante.web.errors import WebError
from berrante.web.services import services


async def admit(request: Request, caller_id: UUID, organization_id: UUID) -> None:
    """Count the request; 429 if it is one too many. A Redis that is away lets all through."""
    of = services(request)
    per_minute = await of.quotas.requests_per_minute(organization_id) or of.settings.requests_per_minute
    if not per_minute:
        return
    try:
        admission = await of.rate_limiter.admit(str(caller_id), per_minute=per_minute)
    except Exception as error:
        if is_unavailable(error):
            return
        raise
    if not admission.admitted:
        details = {"limit": admission.limit}
        message = f"more than {admission.limit} requests in a minute: wait as Retry-After says"
        raise WebError(429, "rate_limited", message, headers=admission.headers, details=details)
    request.scope["state"]["rate_headers"] = admission.headers
