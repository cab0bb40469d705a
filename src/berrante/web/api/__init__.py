"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import campaigns, messages

router = APIRouter(prefix="/v1")
router.include_router(messages.router)
router.include_router(campaigns.router)

__all__ = ["router"]
