"""Who comes to the board: the platform's owner, by the session of ``/login``, or a program by HTTP Basic."""

from typing import Final
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from berrante.messaging.audit import Actor, record
from berrante.store import Database
from berrante.telemetry import events
from berrante.web import request_id
from berrante.web.auth import owner_of
from berrante.web.board import Guard, Identity, OnWrite, OwnerByPassword, refusal
from berrante.web.errors import WebError

_BASIC: Final = "basic "


def guard_of(by_password: OwnerByPassword) -> Guard:
    """Return the guard: a page that nobody logged in for goes to ``/login``, whatever else is refused in place."""

    async def guard(request: Request) -> Identity | Response:
        if request.headers.get("Authorization", "").lower().startswith(_BASIC):
            return await by_password(request)
        try:
            owner = await owner_of(request)
        except WebError as error:
            if error.status == 303 and error.headers:
                return refusal(request, status=401, login=error.headers["Location"])
            return refusal(request, status=error.status)
        return Identity(id=str(owner.id), name=owner.email)

    return guard


def audited(database: Database) -> OnWrite:
    """Return what writes each change into the audit log before it is made; if it cannot, there is no change."""

    async def on_write(identity: Identity, action: str, queue: str | None, job_id: str | None) -> None:
        events.BOARD_WRITE(person=identity.id, action=action, queue=queue, job_id=job_id)
        subject = ("job", f"{queue}/{job_id}") if job_id else ("queue", queue or "all")
        async with database.platform(because="the queues are the platform's") as connection:
            actor = Actor(kind="person", id=_person(identity), name=identity.name, request_id=request_id.current.get())
            await record(connection, organization_id=None, actor=actor, action=f"board.{action}", subject=subject)

    return on_write


def _person(identity: Identity) -> UUID | None:
    """Return the person's id; by HTTP Basic only the address is known."""
    return UUID(identity.id) if identity.id != identity.name else None
