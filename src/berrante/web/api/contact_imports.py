"""``/v1/contacts/imports``: takes CSV files, tells how far they are, and gives back which rows were refused and why."""

import csv
import io
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict

from berrante.engine.connection import is_unavailable
from berrante.messaging.contact_imports import ContactImport
from berrante.messaging.contact_imports.jobs import import_job
from berrante.messaging.contact_imports.rows import Rejected
from berrante.messaging.contacts.cells import guarded
from berrante.messaging.errors import Missing
from berrante.web.api.contacts import recorder
from berrante.web.api.csv_files import BODY, IN_MEMORY, LENGTH, received
from berrante.web.auth import CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.services import services

router = APIRouter(tags=["contacts"], responses={**ERRORS, **LENGTH})


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


@router.post("/contacts/imports", status_code=202, summary="Import contacts from a CSV file", openapi_extra=dict(BODY))
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
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        name = await received(request, file)
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


def _out(each: ContactImport) -> ImportOut:
    done = 1.0 if each.status == "done" else each.bytes_done / max(1, each.bytes_total)
    values = {name: getattr(each, name) for name in ImportOut.model_fields if name != "progress"}
    return ImportOut(**values, progress=round(done, 4))
