"""``/v1/contacts``: an organization's contacts: their fields, tags, consent, and erasing them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from berrante.messaging.clock import moment
from berrante.messaging.contacts import Consent, Contact, Evidence, Search
from berrante.messaging.contacts.exporting import exported
from berrante.messaging.errors import Invalid, Missing
from berrante.web.api.shapes import Strict
from berrante.web.auth import Caller, CurrentKey
from berrante.web.error_model import ERRORS
from berrante.web.services import services

router = APIRouter(tags=["contacts"], responses=ERRORS)

Value = str | int | float | bool
_Tags = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=50, examples=[["vip"]])]
_FIELDS = Field(default=None, max_length=50, examples=[{"city": "Recife", "orders": 3}])


class EvidenceIn(Strict):
    """Why we believe it: where the person said it, the words, and when (now, if nothing is given)."""

    source: str = Field(min_length=1, max_length=200, examples=["checkout form"])
    text: str | None = Field(None, max_length=2_000, examples=["Yes, send me offers on WhatsApp."])
    at: AwareDatetime | None = None


class ContactIn(Strict):
    """A contact to be made. ``opt_in`` is needed for a person who was erased, and may be given for any."""

    instance_id: str = Field(max_length=60, examples=["sales"])
    address: str = Field(max_length=130, description="Phone number with country code.", examples=["+5511987654321"])
    name: str | None = Field(None, max_length=200, examples=["Ana Souza"])
    language: str | None = Field(None, max_length=40, examples=["pt-BR"])
    fields: dict[str, Value] | None = _FIELDS
    tags: _Tags = Field(default_factory=list)
    opt_in: EvidenceIn | None = None


class ContactChanges(Strict):
    """What is to change; what is not given stays. A field that is null is taken away; tags are replaced."""

    name: str | None = Field(None, max_length=200)
    language: str | None = Field(None, max_length=40)
    fields: dict[str, Value | None] | None = _FIELDS
    tags: _Tags | None = None
    blocked: bool | None = Field(None, description="Nothing is sent to a blocked contact, not even a reply.")


class TagsIn(Strict):
    """Tags to add, or to take away."""

    tags: _Tags = Field(min_length=1)


class ContactOut(BaseModel):
    """One contact; ``consent`` is the person's, at every number of the organization."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    instance_id: str
    address_kind: Literal["phone", "bsuid", "lid"]
    address: str
    name: str | None
    language: str | None
    fields: dict[str, Value]
    tags: list[str]
    consent: Consent
    consent_at: datetime | None
    blocked_at: datetime | None
    suppressed_at: datetime | None
    suppression_reason: str | None
    first_seen_at: datetime
    last_message_at: datetime | None
    updated_at: datetime


class ContactsOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[ContactOut]
    next: UUID | None


class ConsentOut(BaseModel):
    """One line of the log."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    state: Consent
    source: str
    text: str | None
    by: str | None
    at: datetime
    created_at: datetime


class ConsentsOut(BaseModel):
    """The latest 500 lines of the log, the latest first."""

    data: list[ConsentOut]
    next: None = None


def _search(
    *,
    q: Annotated[
        str | None,
        Query(min_length=1, max_length=200, description="Beginnings of words of the name, or of the phone number."),
    ] = None,
    instance_id: Annotated[str | None, Query(max_length=60, description="A contact of this number.")] = None,
    tag: Annotated[list[str] | None, Query(max_length=10, description="Has this tag; of several, all.")] = None,
    field: Annotated[
        list[str] | None,
        Query(max_length=10, description="Has this custom field, as `city:Recife`; of several, all."),
    ] = None,
    consent: Annotated[Consent | None, Query(description="What the person said of campaigns.")] = None,
) -> Search:
    """Return what the query asks for; raises ``Invalid``."""
    wanted = {}
    for each in field or ():
        name, colon, value = each.partition(":")
        if not colon:
            raise Invalid("field", f"is {each[:40]!r}", remedy="give name:value, for instance city:Recife")
        wanted[name] = value
    return Search(text=q, instance_id=instance_id, tags=tuple(tag or ()), fields=wanted, consent=consent)


_Asked = Annotated[Search, Depends(_search)]

_EXAMPLES = {
    "opted in": {
        "summary": "Somebody who agreed to campaigns",
        "value": {
            "instance_id": "sales",
            "address": "+5511987654321",
            "name": "Ana Souza",
            "language": "pt-BR",
            "fields": {"city": "Recife", "orders": 3},
            "tags": ["vip"],
            "opt_in": {"source": "checkout form", "text": "Yes, send me offers on WhatsApp."},
        },
    }
}


@router.get("/contacts", summary="List or search contacts")
async def list_contacts(
    request: Request,
    key: CurrentKey,
    search: _Asked,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    before: Annotated[UUID | None, Query(description="``next`` of the page before.")] = None,
) -> ContactsOut:
    """Return the organization's contacts that match all that is asked, newest first."""
    page_of = replace(search, limit=limit + 1, before=before)
    found = await services(request).contacts.search(key.organization_id, page_of)
    page = [_out(contact) for contact in found[:limit]]
    return ContactsOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.post("/contacts", status_code=201, summary="Make a contact")
async def create_contact(
    request: Request,
    key: CurrentKey,
    body: Annotated[ContactIn, Body(openapi_examples=_EXAMPLES)],
) -> ContactOut:
    """Make a contact of a number; 409 if it is there, and for a person who was erased and did not opt in since."""
    of = services(request)
    made = await of.contacts.create(
        organization_id=key.organization_id,
        instance_id=body.instance_id,
        address=body.address,
        name=body.name,
        language=body.language,
        fields=body.fields,
        tags=body.tags,
        opt_in=_evidence(request, key, body.opt_in) if body.opt_in is not None else None,
    )
    return _out(made)


@router.get(
    "/contacts/export",
    summary="Export contacts",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}}, "description": "A CSV file, which an import reads back."}},
)
async def export_contacts(request: Request, key: CurrentKey, search: _Asked) -> StreamingResponse:
    """Stream all contacts that match as CSV; no cell is a formula to a spreadsheet."""
    lines = exported(services(request).database, key.organization_id, search)
    # The first lines are had before the answer begins: what is wrong is answered as an error.
    first = await anext(lines)

    async def whole() -> AsyncIterator[str]:
        yield first
        async for part in lines:
            yield part

    headers = {"Content-Disposition": 'attachment; filename="contacts.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(whole(), media_type="text/csv", headers=headers)


@router.get("/contacts/{contact_id}", summary="Read a contact")
async def read_contact(request: Request, key: CurrentKey, contact_id: UUID) -> ContactOut:
    """Return one contact."""
    found = await services(request).contacts.get(key.organization_id, contact_id)
    if found is None:
        raise Missing("contact", contact_id)
    return _out(found)


@router.patch("/contacts/{contact_id}", summary="Change a contact")
async def change_contact(request: Request, key: CurrentKey, contact_id: UUID, body: ContactChanges) -> ContactOut:
    """Change what is given."""
    changed = await services(request).contacts.update(
        key.organization_id,
        contact_id,
        name=body.name,
        language=body.language,
        fields=body.fields,
        tags=body.tags,
        blocked=body.blocked,
    )
    return _out(changed)


@router.delete("/contacts/{contact_id}", status_code=204, summary="Erase a contact")
async def erase_contact(request: Request, key: CurrentKey, contact_id: UUID) -> None:
    """Erase the person at every number of the organization: fields, names, and the content of all messages.

    It cannot be undone. A hash of the address stays, so that no import brings the person back.
    """
    await services(request).contacts.erase(key.organization_id, contact_id, actor=key.actor)


@router.post("/contacts/{contact_id}/tags", summary="Add tags")
async def add_tags(request: Request, key: CurrentKey, contact_id: UUID, body: TagsIn) -> ContactOut:
    """Add tags to those that are there."""
    return _out(await services(request).contacts.tag(key.organization_id, contact_id, body.tags))


@router.delete("/contacts/{contact_id}/tags/{tag}", summary="Take a tag away")
async def remove_tag(request: Request, key: CurrentKey, contact_id: UUID, tag: str) -> ContactOut:
    """Take a tag away; harmless if it is not there."""
    return _out(await services(request).contacts.untag(key.organization_id, contact_id, [tag]))


@router.post("/contacts/{contact_id}/opt-in", summary="Opt in")
async def opt_in(request: Request, key: CurrentKey, contact_id: UUID, body: EvidenceIn) -> ContactOut:
    """Store that the person agreed to campaigns of the organization."""
    evidence = _evidence(request, key, body)
    return _out(await services(request).contacts.opt_in(key.organization_id, contact_id, evidence))


@router.post("/contacts/{contact_id}/opt-out", summary="Opt out")
async def opt_out(request: Request, key: CurrentKey, contact_id: UUID, body: EvidenceIn) -> ContactOut:
    """Store that campaigns of the organization must not write to the person."""
    evidence = _evidence(request, key, body)
    return _out(await services(request).contacts.opt_out(key.organization_id, contact_id, evidence))


@router.get("/contacts/{contact_id}/consents", summary="Read the log of consents")
async def list_consents(request: Request, key: CurrentKey, contact_id: UUID) -> ConsentsOut:
    """Return what the person agreed to and when, with the evidence."""
    found = await services(request).contacts.consents(key.organization_id, contact_id)
    return ConsentsOut(data=[ConsentOut.model_validate(each) for each in found])


def _evidence(request: Request, caller: Caller, given: EvidenceIn) -> Evidence:
    at = given.at or moment(services(request).connection.now_ms())
    return Evidence(source=given.source, text=given.text, at=at, by=recorder(caller))


def recorder(caller: Caller) -> str:
    """Return what stands in the log of consents for whoever recorded one."""
    return f"API key {caller.key.prefix}…" if caller.key else f"{caller.name} ({caller.id})"


def _out(contact: Contact) -> ContactOut:
    return ContactOut.model_validate(contact)
