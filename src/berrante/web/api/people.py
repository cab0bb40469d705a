"""``/v1/people``: an organization's people, for its admins."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from berrante.messaging.errors import Missing
from berrante.messaging.people import Person, Role
from berrante.web.api.paging import After, Limit, Page, page
from berrante.web.auth import CurrentCaller
from berrante.web.services import services

router = APIRouter(prefix="/people", tags=["people"])

TenantRole = Literal["owner", "admin", "agent", "viewer"]
_Password = Annotated[SecretStr | None, Field(min_length=8, max_length=1_024)]
_Name = Annotated[str | None, Field(min_length=1, max_length=200)]


class PersonIn(BaseModel):
    """A new person; without a password one is drawn and shown once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "ana@example.com", "name": "Ana", "role": "agent"}]}
    )

    email: str = Field(min_length=3, max_length=320)
    role: TenantRole
    name: _Name = None
    password: _Password = None


class PersonChange(BaseModel):
    """What shall change; ``disabled`` ends their sessions at once."""

    role: TenantRole | None = None
    name: _Name = None
    disabled: bool | None = None


class PasswordIn(BaseModel):
    """The new password; without one it is drawn and shown once."""

    password: _Password = None


class PersonOut(BaseModel):
    """Someone who logs in."""

    id: UUID
    email: str
    name: str | None
    role: Role
    disabled_at: datetime | None
    last_login_at: datetime | None
    created_at: datetime


class PersonMade(PersonOut):
    """``password`` is there if it was drawn, and never shown again."""

    password: str | None


class PasswordOut(BaseModel):
    """``password`` is there if it was drawn, and never shown again."""

    password: str | None


@router.post("", status_code=201, summary="Make a person")
async def create(request: Request, caller: CurrentCaller, given: PersonIn) -> PersonMade:
    """Make a person in the organization; nobody gives a role that can do more than theirs: only owners make owners."""
    person, drawn = await services(request).people.create(
        caller.organization_id,
        email=given.email,
        role=Role(given.role),
        name=given.name,
        password=given.password.get_secret_value() if given.password else None,
        actor=caller.actor,
        may=caller.scopes,
    )
    return PersonMade(**_out(person).model_dump(), password=drawn)


@router.get("", summary="List people")
async def list_people(
    request: Request, caller: CurrentCaller, limit: Limit = 50, after: After = None
) -> Page[PersonOut]:
    """Return the organization's people, newest first."""
    return page(await services(request).people.list(caller.organization_id, limit + 1, after), limit, _out)


@router.get("/{person_id}", summary="Show a person")
async def show(request: Request, caller: CurrentCaller, person_id: UUID) -> PersonOut:
    """Return one of the organization's people."""
    person = await services(request).people.get(caller.organization_id, person_id)
    if person is None:
        raise Missing("person", person_id)
    return _out(person)


@router.patch("/{person_id}", summary="Change a person")
async def change(request: Request, caller: CurrentCaller, person_id: UUID, given: PersonChange) -> PersonOut:
    """Change what is given; it holds from their next request on. 409 if the last owner or admin would go."""
    person = await services(request).people.change(
        caller.organization_id,
        person_id,
        role=Role(given.role) if given.role else None,
        name=given.name,
        disabled=given.disabled,
        actor=caller.actor,
        may=caller.scopes,
    )
    return _out(person)


@router.post("/{person_id}/reset-password", summary="Give a person a new password")
async def reset_password(
    request: Request, caller: CurrentCaller, person_id: UUID, given: PasswordIn | None = None
) -> PasswordOut:
    """Set a new password and end all their sessions; an owner's is for owners to set."""
    password = given.password.get_secret_value() if given and given.password else None
    drawn = await services(request).people.reset_password(
        caller.organization_id, person_id, password=password, actor=caller.actor, may=caller.scopes
    )
    return PasswordOut(password=drawn)


@router.delete("/{person_id}", status_code=204, summary="Remove a person")
async def remove(request: Request, caller: CurrentCaller, person_id: UUID) -> None:
    """Remove a person with their sessions; what they did stays in the audit log. 409 for the last owner or admin."""
    await services(request).people.remove(caller.organization_id, person_id, actor=caller.actor, may=caller.scopes)


def _out(person: Person) -> PersonOut:
    return PersonOut.model_validate(person, from_attributes=True)
