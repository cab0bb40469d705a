"""``/v1/instances``: an organization's numbers, and how fast and when they write. Secrets go in and never come out."""

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field

from berrante.messaging.errors import Missing
from berrante.messaging.instances import Instance
from berrante.web.api.shapes import Strict
from berrante.web.auth import Caller, CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.services import services

router = APIRouter(tags=["instances"], responses=ERRORS)

_SECRET = Field(None, min_length=1, max_length=500, description="Write-only.")
_TIME = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class Rate(Strict):
    """So many messages may start per window."""

    max: int = Field(ge=1, le=100_000)
    per_ms: int = Field(1_000, ge=1, le=86_400_000)


class Pace(Strict):
    """How fast the number writes; ``jitter`` is the share of the interval that is drawn at random."""

    rate: Rate | None = None
    burst: int = Field(1, ge=1, le=100_000)
    jitter: float = Field(0.0, ge=0, le=1)


class Quiet(Strict):
    """Hours in which no campaign writes; they may span midnight."""

    start: str = Field(pattern=_TIME, examples=["22:00"])
    end: str = Field(pattern=_TIME, examples=["08:00"])
    time_zone: str = Field(max_length=60, examples=["America/Sao_Paulo"])


class Warming(Strict):
    """How many campaign messages a new number sends a day: ``first_day``, then ``growth`` times more each day."""

    started_on: date
    first_day: int = Field(20, ge=1, le=100_000)
    growth: float = Field(1.5, ge=1, le=10)
    days: int = Field(14, ge=1, le=90)


class SettingsIn(Strict):
    """What is given replaces what was, key by key; null takes it away."""

    pace: Pace | None = None
    quiet_hours: Quiet | None = None
    warm_up: Warming | None = None
    paused: bool | None = None


class InstanceIn(Strict):
    """A number to be made; a cloud instance needs ``phone_number_id``, ``app_secret`` and ``verify_token``."""

    id: str | None = Field(None, pattern="^[a-z0-9-]{1,40}$", description="Drawn if it is not given.")
    gateway: str = Field(max_length=40, examples=["simulator", "cloud"])
    display_number: str | None = Field(None, max_length=40)
    phone_number_id: str | None = Field(None, max_length=60, description="Meta's id of the number.")
    app_secret: str | None = _SECRET
    verify_token: str | None = _SECRET
    settings: SettingsIn = SettingsIn()


class InstanceChanges(Strict):
    """What is to change; what is not given stays."""

    display_number: str | None = Field(None, max_length=40)
    phone_number_id: str | None = Field(None, max_length=60)
    app_secret: str | None = _SECRET
    verify_token: str | None = _SECRET
    settings: SettingsIn = SettingsIn()


class SettingsOut(BaseModel):
    """All settings, those that were never given too."""

    pace: Pace
    quiet_hours: Quiet | None
    warm_up: Warming | None
    paused: bool


class WebhookOut(BaseModel):
    """What to enter in Meta's app dashboard: the path below this server's address; secrets are not shown."""

    path: str
    has_app_secret: bool
    has_verify_token: bool


class InstanceOut(BaseModel):
    """One number; ``status`` says whether it writes."""

    id: str
    gateway: str
    display_number: str | None
    phone_number_id: str | None
    status: Literal["active", "paused"]
    settings: SettingsOut
    webhook: WebhookOut
    created_at: datetime


class InstancesOut(BaseModel):
    """All of an organization's numbers: there is never a next page."""

    data: list[InstanceOut]
    next: str | None = None


_EXAMPLE = {
    "simulated": {
        "summary": "A simulated number that writes once in six seconds",
        "value": {
            "id": "sales",
            "gateway": "simulator",
            "settings": {
                "pace": {"rate": {"max": 1, "per_ms": 6_000}, "jitter": 0.3},
                "quiet_hours": {"start": "22:00", "end": "08:00", "time_zone": "America/Sao_Paulo"},
            },
        },
    },
    "cloud": {
        "summary": "A number of the Cloud API",
        "value": {
            "id": "support",
            "gateway": "cloud",
            "phone_number_id": "106540352242922",
            "app_secret": "from Meta's dashboard",
            "verify_token": "of your own choosing",
        },
    },
}


@router.post("/instances", status_code=201, summary="Make an instance")
async def create_instance(
    request: Request, key: CurrentKey, body: Annotated[InstanceIn, Body(openapi_examples=_EXAMPLE)]
) -> InstanceOut:
    """Make a number. Ids are the platform's: one that another organization has is taken."""
    made = await services(request).instances.create(
        organization_id=key.organization_id,
        id=body.id,
        gateway=body.gateway,
        display_number=body.display_number,
        phone_number_id=body.phone_number_id,
        app_secret=body.app_secret,
        verify_token=body.verify_token,
        settings=_given(body.settings),
        actor=key.actor,
    )
    return _out(made)


@router.get("/instances", summary="List instances")
async def list_instances(request: Request, key: CurrentKey) -> InstancesOut:
    """Return the organization's numbers, in order of their ids."""
    found = await services(request).instances.list(key.organization_id)
    return InstancesOut(data=[_out(instance) for instance in found])


@router.get("/instances/{instance_id}", summary="Read an instance")
async def read_instance(request: Request, key: CurrentKey, instance_id: str) -> InstanceOut:
    """Return one number."""
    found = await services(request).instances.find(key.organization_id, instance_id)
    if found is None:
        raise Missing("instance", instance_id[:60])
    return _out(found)


@router.patch("/instances/{instance_id}", summary="Change an instance")
async def change_instance(request: Request, key: CurrentKey, instance_id: str, body: InstanceChanges) -> InstanceOut:
    """Change what is given. The new pace holds from the next message on."""
    changed = await services(request).instances.update(
        key.organization_id,
        instance_id,
        display_number=body.display_number,
        phone_number_id=body.phone_number_id,
        app_secret=body.app_secret,
        verify_token=body.verify_token,
        settings=_given(body.settings),
        actor=key.actor,
    )
    return _out(changed)


@router.post("/instances/{instance_id}/pause", summary="Pause an instance")
async def pause_instance(request: Request, key: CurrentKey, instance_id: str) -> InstanceOut:
    """Send nothing until it is resumed; messages are accepted and wait."""
    return await _set_paused(request, key, instance_id, paused=True)


@router.post("/instances/{instance_id}/resume", summary="Resume an instance")
async def resume_instance(request: Request, key: CurrentKey, instance_id: str) -> InstanceOut:
    """Send again, beginning with what waits."""
    return await _set_paused(request, key, instance_id, paused=False)


async def _set_paused(request: Request, key: Caller, instance_id: str, *, paused: bool) -> InstanceOut:
    changed = await services(request).instances.update(
        key.organization_id, instance_id, settings={"paused": paused}, actor=key.actor
    )
    return _out(changed)


def _given(settings: SettingsIn) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude_unset=True)


def _out(instance: Instance) -> InstanceOut:
    settings = SettingsOut.model_validate(instance.configuration.as_json())
    return InstanceOut(
        id=instance.id,
        gateway=instance.gateway,
        display_number=instance.display_number,
        phone_number_id=instance.phone_number_id,
        status="paused" if settings.paused else "active",
        settings=settings,
        webhook=WebhookOut(
            path=f"/webhooks/whatsapp/{instance.id}",
            has_app_secret=bool(instance.app_secret),
            has_verify_token=bool(instance.verify_token),
        ),
        created_at=instance.created_at,
    )
