"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import connections, messages

router = APIRouter(prefix="/v1")
router.include_router(messages.router)
router.include_router(connections.router)

__all__ = ["router"]
