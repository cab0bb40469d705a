"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import messages
from berrante.web.error_model import ERRORS

router = APIRouter(prefix="/v1", responses=ERRORS)
router.include_router(messages.router)

__all__ = ["router"]
