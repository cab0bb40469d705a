"""``/v1/contacts/imports``: takes CSV files, tells how far they are, and gives back which rows were refused and why."""

import asyncio
import csv
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import PurePath
from typing import IO, Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect

from berrante.engine.connection import is_unavailable
from berrante.messaging.contact_imports import ContactImport
from berrante.messaging.contact_imports.jobs import import_job
from berrante.messaging.contact_imports.rows import Rejected
from berrante.messaging.contact_imports.service import MAX_BYTES
from berrante.messaging.contacts.cells import guarded
from berrante.messaging.errors import Missing
from berrante.web.api.contacts import recorder
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.errors import WebError
from berrante.web.services import services

_LENGTH: Final[dict[int | str, dict[str, Any]]] = {
    411: {**ERRORS[400], "description": "A form without Content-Length."}
}
router = APIRouter(tags=["contacts"], responses={**ERRORS, **_LENGTH})

_FORM_OVERHEAD: Final = 64 * 1024
_IN_MEMORY: Final = 1024 * 1024
_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {
                "schema": {"type": "string"},
                "example": "phone,name,tags,city\n+5511987654321,Ana Souza,vip;new,Recife\n",
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


class ImportOut(BaseModel):
    """One import. Each row is counted once; ``progress`` goes from 0 to 1; ``reason`` says why it failed."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    instance_id: str
    filename: str | None
    country: str | None
    status: Literal["waiting", "running", "done", "failed"]
    reason: str | None
    progress: float
    created: int
    updated: int
    rejected: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None


class ImportsOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[ImportOut]
    next: UUID | None


@router.post("/contacts/imports", status_code=202, summary="Import contacts from a CSV file", openapi_extra=dict(_BODY))
async def create_import(
    request: Request,
    key: CurrentKey,
    *,
    instance_id: Annotated[str, Query(max_length=60, description="The number whose contacts they become.")],
    country: Annotated[
        str | None, Query(max_length=2, description="Two letters: numbers may be written as at home.", examples=["BR"])
    ] = None,
    filename: Annotated[str | None, Query(max_length=200)] = None,
) -> ImportOut:
    """Take a CSV file, as the body or as the form's ``file``, and import it by and by.

    The first line names the columns; ``phone`` is needed. The same file for the same number again is the same import.
    """
    of = services(request)
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        name = await _received(request, file)
        begun = await of.contact_imports.begin(
            file,
            organization_id=key.organization_id,
            instance_id=instance_id,
            filename=filename or name,
            country=country,
            by=recorder(key),
        )
    if not begun.is_finished:
        job = import_job(
            of.queues.maintenance,
            organization_id=key.organization_id,
            instance_id=begun.instance_id,
            import_id=begun.id,
        )
        try:
            await of.queues.maintenance.add_bulk([job])
        except Exception as error:
            if not is_unavailable(error):
                raise
            # The file is kept: the reconciler adds the job when Redis is back.
    return _out(begun)


@router.get("/contacts/imports", summary="List imports")
async def list_imports(
    request: Request,
    key: CurrentKey,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: UUID | None = None,
) -> ImportsOut:
    """Return the organization's imports, newest first."""
    found = await services(request).contact_imports.list(key.organization_id, limit + 1, before)
    page = [_out(each) for each in found[:limit]]
    return ImportsOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.get("/contacts/imports/{import_id}", summary="Follow an import")
async def read_import(request: Request, key: CurrentKey, import_id: UUID) -> ImportOut:
    """Return how far an import is."""
    return _out(await _found(request, key.organization_id, import_id))


@router.get(
    "/contacts/imports/{import_id}/errors",
    summary="Read which rows were refused",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "line, column, reason"}},
)
async def read_errors(request: Request, key: CurrentKey, import_id: UUID) -> StreamingResponse:
    """Stream a CSV file of the rows that were refused so far: line, column, reason."""
    await _found(request, key.organization_id, import_id)
    pages = services(request).contact_imports.rejected(key.organization_id, import_id)
    headers = {"Content-Disposition": f'attachment; filename="import-{import_id}-errors.csv"'}
    return StreamingResponse(_lines(pages), media_type="text/csv", headers=headers)


async def _lines(pages: AsyncIterator[Sequence[Rejected]]) -> AsyncIterator[str]:
    yield "line,column,reason\r\n"
    async for page in pages:
        written = io.StringIO()
        csv.writer(written).writerows((each.line, guarded(each.column), guarded(each.reason)) for each in page)
        yield written.getvalue()


async def _found(request: Request, organization_id: UUID, import_id: UUID) -> ContactImport:
    found = await services(request).contact_imports.get(organization_id, import_id)
    if found is None:
        raise Missing("import", import_id)
    return found


async def _received(request: Request, file: IO[bytes]) -> str | None:
    """Write the uploaded file to ``file``, whatever way it came, and return its name if it has one."""
    announced = request.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > MAX_BYTES + _FORM_OVERHEAD:
        raise _too_large()
    try:
        if request.headers.get("Content-Type", "").startswith("multipart/form-data"):
            if not announced.isdecimal():
                raise WebError(411, "length_required", "a form needs Content-Length; or send the file as the body")
            return await _from_form(request, file)
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BYTES:
                raise _too_large()
            await asyncio.to_thread(file.write, chunk)
    except ClientDisconnect as error:
        raise WebError(400, "body_incomplete", "the body ended early") from error
    return None


async def _from_form(request: Request, file: IO[bytes]) -> str | None:
    try:
        async with request.form(max_files=1, max_fields=10) as form:
            upload = form.get("file")
            if not isinstance(upload, UploadFile):
                raise WebError(422, "invalid", "the form has no file called 'file'", field="file")
            while chunk := await upload.read(_IN_MEMORY):
                await asyncio.to_thread(file.write, chunk)
            return PurePath(upload.filename).name if upload.filename else None
    except MultiPartException as error:
        raise WebError(400, "bad_request", f"the form cannot be read: {error.message}") from error


def _too_large() -> WebError:
    return WebError(413, "body_too_large", f"the file has more than {MAX_BYTES} bytes: split it", field="file")


def _out(each: ContactImport) -> ImportOut:
    done = 1.0 if each.status == "done" else each.bytes_done / max(1, each.bytes_total)
    values = {name: getattr(each, name) for name in ImportOut.model_fields if name != "progress"}
    return ImportOut(**values, progress=round(done, 4))
