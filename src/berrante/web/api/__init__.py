"""The HTTP API, version 1."""

from fastapi import APIRouter

from berrante.web.api import (
    api_keys,
    audit_log,
    campaigns,
    connections,
    contact_imports,
    contacts,
    conversations,
    dead_letters,
    deliveries,
    instances,
    media,
    messages,
    organizations,
    people,
    sending,
    webhooks,
)
from berrante.web.error_model import ERRORS

router = APIRouter(prefix="/v1", responses=ERRORS)
# Imports before contacts: "imports" is no contact's id.
for _part in (
    organizations,
    people,
    api_keys,
    audit_log,
    messages,
    contact_imports,
    contacts,
    instances,
    connections,
    sending,
    media,
    conversations,
    dead_letters,
    webhooks,
    deliveries,
    campaigns,
):
    router.include_router(_part.router)

__all__ = ["router"]
