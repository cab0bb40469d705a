"""``/v1/api-keys``: an organization's keys, for its admins."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from berrante.messaging.api_keys import ApiKey
from berrante.messaging.errors import Missing
from berrante.web.api.paging import After, Limit, Page, page
from berrante.web.auth import CurrentCaller
from berrante.web.services import services

router = APIRouter(prefix="/api-keys", tags=["api keys"])

_Scopes = Annotated[list[Annotated[str, Field(max_length=60)]], Field(min_length=1, max_length=100)]
_Networks = Annotated[list[Annotated[str, Field(max_length=60)]], Field(max_length=50)]


class KeyIn(BaseModel):
    """A new key. ``allowed_ips`` are addresses or networks; none means from anywhere."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "Shop", "scopes": ["messages.write", "contacts.read"], "allowed_ips": ["203.0.113.0/24"]}
            ]
        }
    )

    name: str = Field(min_length=1, max_length=200)
    scopes: _Scopes
    allowed_ips: _Networks = []
    expires_at: AwareDatetime | None = None


class KeyChange(BaseModel):
    """What shall change; ``expires_at`` null is never, and left out stays as it is."""

    name: str | None = Field(None, min_length=1, max_length=200)
    scopes: _Scopes | None = None
    allowed_ips: _Networks | None = None
    expires_at: AwareDatetime | None = None


class KeyOut(BaseModel):
    """One key, without its secret; ``last_used_at`` is right to a minute."""

    id: UUID
    name: str
    prefix: str
    scopes: list[str]
    allowed_ips: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None


class KeyMade(KeyOut):
    """``secret`` is shown now and never again."""

    secret: str


@router.post("", status_code=201, summary="Make a key")
async def create(request: Request, caller: CurrentCaller, given: KeyIn) -> KeyMade:
    """Make a key and show its secret once; nobody makes a key that can do more than themselves."""
    key, secret = await services(request).api_keys.issue(
        caller.organization_id,
        given.name,
        scopes=given.scopes,
        allowed_ips=given.allowed_ips,
        expires_at=given.expires_at,
        actor=caller.actor,
        may=caller.scopes,
    )
    return KeyMade(**_out(key).model_dump(), secret=secret)


@router.get("", summary="List keys")
async def list_keys(request: Request, caller: CurrentCaller, limit: Limit = 50, after: After = None) -> Page[KeyOut]:
    """Return the organization's keys, revoked ones too, newest first."""
    return page(await services(request).api_keys.list(caller.organization_id, limit + 1, after), limit, _out)


@router.get("/{key_id}", summary="Show a key")
async def show(request: Request, caller: CurrentCaller, key_id: UUID) -> KeyOut:
    """Return one of the organization's keys."""
    key = await services(request).api_keys.get(caller.organization_id, key_id)
    if key is None:
        raise Missing("API key", key_id)
    return _out(key)


@router.patch("/{key_id}", summary="Change a key")
async def change(request: Request, caller: CurrentCaller, key_id: UUID, given: KeyChange) -> KeyOut:
    """Change what is given, of a key that is not revoked."""
    key = await services(request).api_keys.change(
        caller.organization_id,
        key_id,
        name=given.name,
        scopes=given.scopes,
        allowed_ips=given.allowed_ips,
        expires_at=given.expires_at,
        keep_expiry="expires_at" not in given.model_fields_set,
        actor=caller.actor,
        may=caller.scopes,
    )
    return _out(key)


@router.delete("/{key_id}", status_code=204, summary="Revoke a key")
async def revoke(request: Request, caller: CurrentCaller, key_id: UUID) -> None:
    """Let a key open nothing any more, from the next request on; 404 if it was revoked before."""
    if not await services(request).api_keys.revoke(
        caller.organization_id, key_id, actor=caller.actor, may=caller.scopes
    ):
        raise Missing("API key", key_id)


def _out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(key, from_attributes=True)
