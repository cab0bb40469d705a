"""``/v1/audit-log`` and ``/v1/quotas``: what was done in an organization, and what it may use."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel

from berrante.messaging.audit import AuditEntry
from berrante.web.api.organizations import QuotaModel
from berrante.web.api.paging import After, Limit, Page, page
from berrante.web.auth import CurrentCaller
from berrante.web.services import services

router = APIRouter(tags=["administration"])


class ActorOut(BaseModel):
    """Who did it: a ``person``, a ``key``, or a ``command`` on the server."""

    kind: str
    id: UUID | None
    name: str
    address: str | None
    user_agent: str | None


class AuditEntryOut(BaseModel):
    """One act; what is named like a secret is hidden in ``before`` and ``after``."""

    id: UUID
    at: datetime
    action: str
    subject_kind: str
    subject_id: str
    actor: ActorOut
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class UsageOut(BaseModel):
    """What is used now; messages since midnight UTC."""

    messages_today: int
    campaigns_running: int
    contacts: int


class QuotasOut(BaseModel):
    """What the organization may use, and what it uses."""

    quota: QuotaModel
    usage: UsageOut


@router.get("/audit-log", summary="List administrative acts")
async def list_acts(
    request: Request,
    caller: CurrentCaller,
    *,
    limit: Limit = 50,
    after: After = None,
    action: Annotated[
        str | None, Query(max_length=100, description="Only these, for instance `api_key.revoked` or `api_key`.")
    ] = None,
    actor_id: Annotated[UUID | None, Query(description="Only those of this person or key.")] = None,
) -> Page[AuditEntryOut]:
    """Return what was done to the organization's settings, newest first."""
    found = await services(request).audit_log.list(
        caller.organization_id, limit + 1, after, action=action, actor_id=actor_id
    )
    return page(found, limit, _out)


@router.get("/quotas", summary="Show quotas and what is used of them")
async def show_quotas(request: Request, caller: CurrentCaller) -> QuotasOut:
    """Return the organization's quota and usage."""
    of = services(request).quotas
    usage = UsageOut.model_validate(await of.usage(caller.organization_id), from_attributes=True)
    return QuotasOut(quota=QuotaModel.model_validate(await of.get(caller.organization_id)), usage=usage)


def _out(entry: AuditEntry) -> AuditEntryOut:
    return AuditEntryOut(
        id=entry.id,
        at=entry.at,
        action=entry.action,
        subject_kind=entry.subject_kind,
        subject_id=entry.subject_id,
        actor=ActorOut(
            kind=entry.actor_kind,
            id=entry.actor_id,
            name=entry.actor_name,
            address=entry.address,
            user_agent=entry.user_agent,
        ),
        request_id=entry.request_id,
        before=dict(entry.before) if entry.before is not None else None,
        after=dict(entry.after) if entry.after is not None else None,
    )
