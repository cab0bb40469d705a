"""``/v1/media``: files to be sent, and files that contacts sent; each organization's own."""

from typing import Any, Final
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from berrante.gateways.media import MAX_BYTES, SENDABLE, MediaMissing, TooLong, spooled
from berrante.messaging.errors import Missing
from berrante.messaging.messages.bodies import stored_reference
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.errors import WebError
from berrante.web.services import services

_UNKNOWN_KIND: Final[dict[int | str, dict[str, Any]]] = {
    415: {**ERRORS[400], "description": "WhatsApp does not carry files of this kind."}
}
router = APIRouter(tags=["messages"], responses={**ERRORS, **_UNKNOWN_KIND})

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in sorted(SENDABLE)},
    }
}
_FILE: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file.",
        # Of whatever type it came as.
        "content": {"*/*": {"schema": {"type": "string", "format": "binary"}}},
    }
}


class MediaOut(BaseModel):
    """A file that is kept: ``id`` is what a message names as ``media_id``. The same bytes again are the same id."""

    id: str
    content_type: str
    size: int


@router.post("/media", status_code=201, summary="Upload a file to be sent", openapi_extra=dict(_BODY))
async def upload_media(request: Request, key: CurrentKey) -> MediaOut:
    """Keep the body as a file; its ``Content-Type`` says what it is, and 64 MiB is the most."""
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in SENDABLE:
        problem = f"WhatsApp carries no {kind[:60]!r}: send the file as the body, with its own Content-Type, one of "
        raise WebError(415, "media_type_not_supported", problem + ", ".join(sorted(SENDABLE)), field="Content-Type")
    try:
        async with spooled(request.stream(), most=MAX_BYTES) as file:
            if file.size == 0:
                raise WebError(422, "invalid", "the file is empty: send its bytes as the body", field="body")
            stored = await services(request).media.put_spooled(key.organization_id, file, mime_type=kind)
    except TooLong as error:
        raise WebError(413, "body_too_large", str(error)) from error
    except ClientDisconnect as error:
        raise WebError(400, "body_incomplete", "the body ended early") from error
    return MediaOut(id=stored.reference.partition("/")[2], content_type=stored.mime_type, size=stored.size)


@router.get("/media/{media_id}", summary="Read a file", response_class=Response, responses=_FILE)
async def read_media(request: Request, key: CurrentKey, media_id: str) -> Response:
    """Return a file that was uploaded, or that came with a message: there, `stored` ends with its id."""
    stored, data = await _found(request, key.organization_id, media_id)
    headers = {
        # Whatever a contact sent is never a page of ours.
        "Content-Disposition": f'attachment; filename="{media_id}"',
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=31536000, immutable",
    }
    return Response(data, media_type=stored, headers=headers)


async def _found(request: Request, organization_id: UUID, media_id: str) -> tuple[str, bytes]:
    try:
        stored, data = await services(request).media.get(organization_id, stored_reference(organization_id, media_id))
    except MediaMissing as error:
        raise Missing("file", media_id[:80]) from error
    return stored.mime_type, data
