"""``/v1``: what an organization's programs may ask, with an API key."""

from fastapi import APIRouter

from berrante.web.api import campaigns, contact_imports, contacts, conversations, instances, messages, sending

router = APIRouter(prefix="/v1")
# Imports before contacts: "imports" is no contact's id.
for part in (messages, contact_imports, contacts, instances, sending, conversations, campaigns):
    router.include_router(part.router)

__all__ = ["router"]
