"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import deliveries, messages, webhooks

router = APIRouter(prefix="/v1")
for part in (messages, webhooks, deliveries):
    router.include_router(part.router)

__all__ = ["router"]
