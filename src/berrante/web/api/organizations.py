"""``/v1/organizations``: the tenants, for the platform's owner."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from berrante.messaging.audit import Actor
from berrante.messaging.errors import Missing
from berrante.messaging.organizations import Organization
from berrante.messaging.people import Person
from berrante.messaging.quotas import Quota
from berrante.web.api.paging import After, Limit, Page, page
from berrante.web.auth import Identity, PlatformOwner, actor_of
from berrante.web.services import services

router = APIRouter(prefix="/organizations", tags=["organizations"])

_Count = Annotated[int | None, Field(ge=0, le=2_000_000_000)]


class QuotaModel(BaseModel):
    """What an organization may use; null is no limit (for requests: the platform's)."""

    model_config = ConfigDict(from_attributes=True)

    messages_per_day: _Count = None
    campaigns_running: _Count = None
    contacts: _Count = None
    requests_per_minute: Annotated[int | None, Field(ge=1, le=1_000_000)] = None


class OrganizationIn(BaseModel):
    """A new organization, or what shall change of one."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Acme", "quota": {"messages_per_day": 10_000}}]})

    name: str = Field(min_length=1, max_length=200)
    quota: QuotaModel | None = None


class OrganizationChange(BaseModel):
    """What shall change; a quota is replaced as a whole."""

    name: str | None = Field(None, min_length=1, max_length=200)
    quota: QuotaModel | None = None


class OrganizationOut(BaseModel):
    """One tenant."""

    id: UUID
    name: str
    created_at: datetime


class OrganizationDetail(OrganizationOut):
    """One tenant with its quota."""

    quota: QuotaModel


@router.post("", status_code=201, summary="Make an organization")
async def create(request: Request, owner: PlatformOwner, given: OrganizationIn) -> OrganizationDetail:
    """Make an organization; names need not differ."""
    of, actor = services(request), _actor(request, owner)
    made = await of.organizations.create(given.name, actor=actor)
    if given.quota is not None:
        await of.quotas.set(made.id, Quota(**given.quota.model_dump()), actor=actor)
    return await _detail(request, made)


@router.get("", summary="List organizations")
async def list_organizations(
    request: Request, _: PlatformOwner, limit: Limit = 50, after: After = None
) -> Page[OrganizationOut]:
    """Return all organizations, newest first."""
    found = await services(request).organizations.page(limit + 1, after)
    return page(found, limit, _out)


@router.get("/{organization_id}", summary="Show an organization")
async def show(request: Request, _: PlatformOwner, organization_id: UUID) -> OrganizationDetail:
    """Return one organization with its quota."""
    found = await services(request).organizations.get(organization_id)
    if found is None:
        raise Missing("organization", organization_id)
    return await _detail(request, found)


@router.patch("/{organization_id}", summary="Change an organization")
async def change(
    request: Request, owner: PlatformOwner, organization_id: UUID, given: OrganizationChange
) -> OrganizationDetail:
    """Change the name, the quota, or both."""
    of, actor = services(request), _actor(request, owner)
    found = await of.organizations.get(organization_id)
    if found is None:
        raise Missing("organization", organization_id)
    if given.name is not None:
        found = await of.organizations.rename(organization_id, given.name, actor=actor)
    if given.quota is not None:
        await of.quotas.set(organization_id, Quota(**given.quota.model_dump()), actor=actor)
    return await _detail(request, found)


def _actor(request: Request, owner: Person) -> Actor:
    return actor_of(request, Identity(person=owner))


def _out(found: Organization) -> OrganizationOut:
    return OrganizationOut(id=found.id, name=found.name, created_at=found.created_at)


async def _detail(request: Request, found: Organization) -> OrganizationDetail:
    quota = QuotaModel.model_validate(await services(request).quotas.get(found.id))
    return OrganizationDetail(**_out(found).model_dump(), quota=quota)
