"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import api_keys, audit_log, messages, organizations, people
from berrante.web.error_model import ERRORS

router = APIRouter(prefix="/v1", responses=ERRORS)
for _part in (organizations, people, api_keys, audit_log, messages):
    router.include_router(_part.router)

__all__ = ["router"]
