"""``/v1/dead-letters``: an organization's jobs that failed for good, one by one and by cause."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from berrante.messaging.clock import moment
from berrante.messaging.dead_letters import Cause, Group, Letter, Selection
from berrante.web.api.shapes import Strict
from berrante.web.auth import CurrentKey
from berrante.web.services import services

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])


class CauseOut(BaseModel):
    """What made a job fail; ``code`` is the error's own, or its reason without ids and numbers."""

    model_config = ConfigDict(from_attributes=True)

    queue: str
    code: str
    scope: str | None
    template: str | None
    number: str | None


class LetterOut(BaseModel):
    """One dead letter; ``retried_as`` and ``retried_from`` are the job that it became, and the letter it came from."""

    id: str
    group: str
    cause: CauseOut
    job_id: str
    name: str
    reason: str
    failed_at: datetime
    attempts_made: int
    instance_id: str | None
    data: Any
    retried_from: str | None
    retried_as: str | None


class LettersOut(BaseModel):
    """A page, the newest first; give ``next`` as ``after`` to have the page after it, null if this is the last."""

    data: list[LetterOut]
    next: int | None


class GroupOut(BaseModel):
    """The letters of one cause; ``sample`` is the latest of them."""

    id: str
    cause: CauseOut
    count: int
    first_at: datetime
    last_at: datetime
    sample_id: str
    sample_reason: str
    remedy: str
    healed_at: datetime | None = Field(
        description="When the number that failed last sent, or its template was approved again, if that was since."
    )


class GroupsOut(BaseModel):
    """All groups, the largest first; ``left_out`` letters belong to causes beyond the first 500."""

    data: list[GroupOut]
    left_out: int


class PutBackOut(BaseModel):
    """The job that a letter became."""

    letter_id: str
    queue: str
    job_id: str


class Wanted(Strict):
    """Which letters: one group, one queue, both, or ``all``."""

    group: str | None = Field(None, min_length=1, max_length=40)
    queue: str | None = Field(None, min_length=1, max_length=200)
    all: bool = False

    @model_validator(mode="after")
    def _something(self) -> "Wanted":
        if not (self.all or self.group or self.queue):
            raise ValueError('say which letters: give "group", "queue" or "all": true')
        return self


class TriagedOut(BaseModel):
    """How many letters were acted on; ``passed_over`` ones cannot be read as jobs."""

    model_config = ConfigDict(from_attributes=True)

    done: int
    passed_over: int


@router.get("", summary="List dead letters")
async def list_letters(
    request: Request,
    key: CurrentKey,
    *,
    limit: Annotated[int, Query(ge=1, le=200, description="Letters at most.")] = 50,
    after: Annotated[int | None, Query(ge=1, description="The place that the former page named.")] = None,
    group: Annotated[str | None, Query(description="Only those of this cause.")] = None,
    queue: Annotated[str | None, Query(description="Only those of this queue.")] = None,
) -> LettersOut:
    """Return the organization's dead letters that wait for a decision; a page may be empty and have a next one."""
    selection = Selection(organization_id=str(key.organization_id), group=group, queue=queue)
    page = await services(request).triage.list(selection, limit=limit, at=after)
    return LettersOut(data=[_letter(letter) for letter in page.letters], next=page.next)


@router.get("/groups", summary="Count dead letters by cause")
async def list_groups(request: Request, key: CurrentKey) -> GroupsOut:
    """Return what made the organization's jobs fail, with how often, since when, and what to do."""
    groups = await services(request).triage.groups(Selection(organization_id=str(key.organization_id)))
    found = groups.largest_first()
    await services(request).healing.mark(found, organization_id=key.organization_id)
    return GroupsOut(data=[_group(group) for group in found], left_out=groups.left_out)


@router.post("/retry", summary="Put many jobs back")
async def retry_many(request: Request, key: CurrentKey, wanted: Wanted) -> TriagedOut:
    """Put back all selected jobs that failed before now; safe to repeat, each runs again once."""
    done = await services(request).triage.retry_all(_selection(key.organization_id, wanted))
    return TriagedOut.model_validate(done)


@router.post("/discard", summary="Remove many letters")
async def discard_many(request: Request, key: CurrentKey, wanted: Wanted) -> TriagedOut:
    """Remove all selected letters of jobs that failed before now."""
    done = await services(request).triage.discard_all(_selection(key.organization_id, wanted))
    return TriagedOut.model_validate(done)


# Letters are named after jobs, whose ids Node may have given a slash.
@router.post("/{letter_id:path}/retry", summary="Put one job back")
async def retry(request: Request, key: CurrentKey, letter_id: str) -> PutBackOut:
    """Put the job back into its queue; a letter that was put back before names the same job again."""
    done = await services(request).triage.retry(letter_id, organization_id=str(key.organization_id))
    return PutBackOut(letter_id=done.letter_id, queue=done.queue, job_id=done.job_id)


@router.get("/{letter_id:path}", summary="Read one letter")
async def get(request: Request, key: CurrentKey, letter_id: str) -> LetterOut:
    """Return one of the organization's letters, put back or not."""
    return _letter(await services(request).triage.get(letter_id, organization_id=str(key.organization_id)))


@router.delete("/{letter_id:path}", status_code=204, summary="Remove one letter")
async def discard(request: Request, key: CurrentKey, letter_id: str) -> Response:
    """Remove one letter; 409 if its job was put back."""
    await services(request).triage.discard(letter_id, organization_id=str(key.organization_id))
    return Response(status_code=204)


def _selection(organization_id: object, wanted: Wanted) -> Selection:
    return Selection(organization_id=str(organization_id), group=wanted.group, queue=wanted.queue)


def _cause(cause: Cause) -> CauseOut:
    return CauseOut.model_validate(cause)


def _letter(letter: Letter) -> LetterOut:
    # No trace: it speaks of our inside, and belongs to the operator (`berrante dead-letters show`).
    return LetterOut(
        id=letter.id,
        group=letter.cause.id,
        cause=_cause(letter.cause),
        job_id=letter.job_id,
        name=letter.name,
        reason=letter.reason,
        failed_at=moment(letter.failed_at_ms),
        attempts_made=letter.attempts_made,
        instance_id=letter.instance_id,
        data=letter.data,
        retried_from=letter.retried_from,
        retried_as=letter.retried_as,
    )


def _group(group: Group) -> GroupOut:
    return GroupOut(
        id=group.id,
        cause=_cause(group.cause),
        count=group.count,
        first_at=moment(group.first_at_ms),
        last_at=moment(group.last_at_ms),
        sample_id=group.sample_id,
        sample_reason=group.sample_reason,
        remedy=group.remedy,
        healed_at=moment(group.healed_at_ms) if group.healed_at_ms is not None else None,
    )
