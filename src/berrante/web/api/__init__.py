"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import dead_letters, messages

router = APIRouter(prefix="/v1")
router.include_router(messages.router)
router.include_router(dead_letters.router)

__all__ = ["router"]
