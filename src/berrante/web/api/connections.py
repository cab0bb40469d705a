"""``/v1/instances/{id}/connect``: links a number on Baileys to its phone, by QR or by code."""

import io
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any, Final

import segno
from fastapi import APIRouter, Body, Request
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from berrante.gateways.baileys import NumberStatus, SidecarAway
from berrante.messaging.errors import Missing, WrongState
from berrante.messaging.instances import Instance
from berrante.web.auth import CurrentKey
from berrante.web.services import services

router = APIRouter(prefix="/instances/{instance_id}", tags=["instances"])

#: States after which nothing more happens until a person acts.
_ENDS: Final = frozenset({"open", "expired", "elsewhere", "logged_out", "banned"})


class ConnectIn(BaseModel):
    """Leave ``phone`` out to pair by QR; give the number's own phone to pair by a code that is typed on it."""

    phone: str | None = Field(None, pattern=r"^\+[1-9]\d{6,14}$", description="E.164, for instance +5511999990001.")


class ConnectionOut(BaseModel):
    """How a number on Baileys is."""

    instance_id: str
    state: str
    me: str | None
    close: dict[str, Any] | None
    alerts: list[dict[str, Any]]
    retry_at: str | None
    new_chats: dict[str, Any] | None = Field(
        description="What WhatsApp said of writing to strangers: stopped, locked_until, quota, used, quota_ends."
    )


@router.post("/connect", summary="Connect a number on Baileys", response_class=StreamingResponse)
async def connect(
    request: Request, instance_id: str, key: CurrentKey, wanted: Annotated[ConnectIn | None, Body()] = None
) -> StreamingResponse:
    """Stream server-sent events ``status`` until the number is open, or will not open.

    While it pairs, ``qr_svg`` is the QR code to scan, new every 20 to 60 seconds, or ``code`` is what to type.
    """
    instance = await _instance(request, instance_id, key)
    phone = wanted.phone if wanted else None
    sidecars = services(request).sidecars
    await sidecars.connect(instance.id, organization_id=instance.organization_id, phone=phone)

    async def told() -> AsyncIterator[str]:
        try:
            async for status in sidecars.watch(instance.id):
                yield f"event: status\ndata: {json.dumps(_shown(status))}\n\n"
                if status.state in _ENDS:
                    return
        except SidecarAway as error:
            yield f"event: error\ndata: {json.dumps({'code': error.code, 'message': str(error)})}\n\n"

    return StreamingResponse(told(), media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@router.get("/connection", summary="How a number on Baileys is")
async def connection(request: Request, instance_id: str, key: CurrentKey) -> ConnectionOut:
    """Return the number's state, why its link was closed last, and its latest alerts."""
    instance = await _instance(request, instance_id, key)
    return _out(await services(request).sidecars.status(instance.id))


@router.post("/disconnect", summary="Unlink a number on Baileys")
async def disconnect(request: Request, instance_id: str, key: CurrentKey) -> ConnectionOut:
    """Unlink the number from its phone and wipe what could open the account."""
    instance = await _instance(request, instance_id, key)
    return _out(await services(request).sidecars.log_out(instance.id))


async def _instance(request: Request, instance_id: str, key: CurrentKey) -> Instance:
    instance = await services(request).instances.find(key.organization_id, instance_id)
    if instance is None:
        raise Missing("instance", instance_id)
    if instance.gateway != "baileys":
        raise WrongState("instance", instance_id, state=f"on the gateway {instance.gateway}", needed="on baileys")
    return instance


def _shown(status: NumberStatus) -> dict[str, Any]:
    shown = _out(status).model_dump() | {"qr": status.qr, "code": status.code}
    return shown | {"qr_svg": qr_svg(status.qr) if status.qr else None}


def _out(status: NumberStatus) -> ConnectionOut:
    return ConnectionOut(
        instance_id=status.instance_id,
        state=status.state,
        me=status.me,
        close=status.close,
        alerts=list(status.alerts),
        retry_at=status.retry_at,
        new_chats=status.new_chats,
    )


def qr_svg(text: str) -> str:
    """Return the QR code as an SVG element."""
    output = io.BytesIO()
    segno.make(text, error="l", micro=False).save(output, kind="svg", xmldecl=False, scale=4)
    return output.getvalue().decode()
