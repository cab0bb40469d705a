"""CSV files that requests bring, as the body or as a form's file."""

import asyncio
from pathlib import PurePath
from typing import IO, Any, Final

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect

from berrante.messaging.contact_imports.service import MAX_BYTES
from berrante.web.error_model import ERRORS
from berrante.web.errors import WebError

LENGTH: Final[dict[int | str, dict[str, Any]]] = {411: {**ERRORS[400], "description": "A form without Content-Length."}}
_FORM_OVERHEAD: Final = 64 * 1024
IN_MEMORY: Final = 1024 * 1024
BODY: Final = {
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


async def received(request: Request, file: IO[bytes]) -> str | None:
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
            while chunk := await upload.read(IN_MEMORY):
                await asyncio.to_thread(file.write, chunk)
            return PurePath(upload.filename).name if upload.filename else None
    except MultiPartException as error:
        raise WebError(400, "bad_request", f"the form cannot be read: {error.message}") from error


def _too_large() -> WebError:
    return WebError(413, "body_too_large", f"the file has more than {MAX_BYTES} bytes: split it", field="file")
