"""``/v1/campaigns``: make, move, look into and account for an organization's campaigns."""

import tempfile
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request

from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns.audience_file import take_file
from berrante.messaging.campaigns.editing import UNCHANGED
from berrante.messaging.campaigns.replies import change_settings, settings_of
from berrante.messaging.campaigns.retrying import Retry
from berrante.messaging.errors import Invalid, Missing
from berrante.messaging.messages.content import outgoing
from berrante.web.api.campaign_bodies import (
    CampaignChange,
    CampaignIn,
    PreviewIn,
    RehearseIn,
    RetryIn,
    ScheduleIn,
    SettingsIn,
    TestIn,
)
from berrante.web.api.campaign_content import check_uploads, content_of
from berrante.web.api.campaign_shapes import (
    AudienceOut,
    AudienceTakenOut,
    CampaignOut,
    CampaignsOut,
    LedgerOut,
    PreviewOut,
    RecipientOut,
    RecipientsOut,
    RehearsalOut,
    RetriedOut,
    SettingsOut,
    TestOut,
    campaign_out,
    ledger_out,
    rehearsal_out,
)
from berrante.web.api.csv_files import BODY, IN_MEMORY, LENGTH, received
from berrante.web.auth import CurrentKey
from berrante.web.services import Services, services

router = APIRouter(tags=["campaigns"])


@router.post("/campaigns", status_code=201, summary="Make a campaign")
async def create(request: Request, key: CurrentKey, body: CampaignIn) -> CampaignOut:
    """Make a draft; nothing is sent until it is started or scheduled."""
    of = services(request)
    content = content_of(body.text, body.content, needed=True)
    await check_uploads(of, key.organization_id, content)
    made = await of.campaigns.create(
        organization_id=key.organization_id,
        instance_id=body.instance_id,
        name=body.name,
        content=content,
        recipients=body.recipients,
        segment=body.segment,
        rest_days=body.rest_days,
        pace=body.pace,
        reply_automation_id=body.reply_automation_id,
        reply_automation_mode=body.reply_automation_mode,
    )
    return campaign_out(made)


@router.get("/campaigns", summary="List campaigns")
async def list_campaigns(
    request: Request,
    key: CurrentKey,
    limit: Annotated[int, Query(ge=1, le=200, description="Campaigns at most.")] = 50,
    before: Annotated[UUID | None, Query(description="Only those older than this campaign.")] = None,
) -> CampaignsOut:
    """Return the organization's campaigns, newest first."""
    found = await services(request).campaigns.list(key.organization_id, limit + 1, before)
    page = [campaign_out(each) for each in found[:limit]]
    return CampaignsOut(data=page, next=page[-1].id if len(found) > limit else None)


@router.get("/campaigns/settings", summary="Opt-out words and reply window")
async def read_settings(request: Request, key: CurrentKey) -> SettingsOut:
    """Return the words by which contacts opt out, and for how many hours an answer is one to a campaign."""
    return SettingsOut.model_validate(await settings_of(services(request).database, key.organization_id))


@router.put("/campaigns/settings", summary="Change opt-out words and reply window")
async def put_settings(request: Request, key: CurrentKey, body: SettingsIn) -> SettingsOut:
    """Store the organization's own words and window."""
    changed = await change_settings(
        services(request).database,
        key.organization_id,
        opt_out_words=body.opt_out_words,
        reply_hours=body.reply_hours,
        opt_out_reply=body.opt_out_reply,
    )
    return SettingsOut.model_validate(changed)


@router.get("/campaigns/{campaign_id}", summary="One campaign")
async def show(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Return a campaign with what was counted last; the ledger counts anew."""
    return campaign_out(await _found(services(request), key.organization_id, campaign_id))


@router.patch("/campaigns/{campaign_id}", summary="Change a campaign")
async def change(request: Request, key: CurrentKey, campaign_id: UUID, body: CampaignChange) -> CampaignOut:
    """Change name, content or pace, also while it runs."""
    of = services(request)
    content = content_of(body.text, body.content, needed=False)
    await check_uploads(of, key.organization_id, content)
    changed = await of.campaigns.update(
        key.organization_id,
        campaign_id,
        name=body.name,
        content=content,
        pace=body.pace,
        reply_automation_id=(body.reply_automation_id if "reply_automation_id" in body.model_fields_set else UNCHANGED),
        reply_automation_mode=body.reply_automation_mode,
    )
    return campaign_out(changed)


@router.delete("/campaigns/{campaign_id}", status_code=204, summary="Delete a draft")
async def delete(request: Request, key: CurrentKey, campaign_id: UUID) -> None:
    """Delete a draft; a campaign that was started stays, with its recipients."""
    await services(request).campaigns.delete(key.organization_id, campaign_id)


@router.post("/campaigns/{campaign_id}/schedule", summary="Start later")
async def schedule(request: Request, key: CurrentKey, campaign_id: UUID, body: ScheduleIn) -> CampaignOut:
    """Let it start by itself."""
    of = services(request).campaigns
    return campaign_out(await of.schedule(key.organization_id, campaign_id, start_at=body.start_at))


@router.post("/campaigns/{campaign_id}/start", summary="Start now")
async def start(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Freeze the audience and begin to send; again, nothing changes."""
    return campaign_out(await services(request).campaigns.start(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/pause", summary="Pause")
async def pause(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Send nothing more after the message that is on its way."""
    return campaign_out(await services(request).campaigns.pause(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/resume", summary="Go on")
async def resume(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Go on with whoever was not written to."""
    return campaign_out(await services(request).campaigns.resume(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/cancel", summary="End it")
async def cancel(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Skip whoever was not written to."""
    return campaign_out(await services(request).campaigns.cancel(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/retry", summary="Write again to those that failed")
async def retry(request: Request, key: CurrentKey, campaign_id: UUID, body: RetryIn | None = None) -> RetriedOut:
    """Make new attempts for recipients whose message failed."""
    which = Retry(code=body.code, in_doubt=body.in_doubt) if body else Retry()
    return RetriedOut(recipients=await services(request).campaigns.retry(key.organization_id, campaign_id, which))


@router.post("/campaigns/{campaign_id}/duplicate", status_code=201, summary="Copy as a draft")
async def duplicate(request: Request, key: CurrentKey, campaign_id: UUID) -> CampaignOut:
    """Make a draft of the same content, audience, numbers and pace."""
    return campaign_out(await services(request).campaigns.duplicate(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/preview", summary="What a contact would get")
async def preview(request: Request, key: CurrentKey, campaign_id: UUID, body: PreviewIn) -> PreviewOut:
    """Render the content for one contact; nothing is sent."""
    rendered = await services(request).campaign_account.preview(
        key.organization_id, campaign_id, **body.model_dump(exclude={"to"})
    )
    return PreviewOut(variant=rendered.variant, content=rendered.content)


@router.post("/campaigns/{campaign_id}/test", status_code=202, summary="Send it to oneself")
async def send_test(request: Request, key: CurrentKey, campaign_id: UUID, body: TestIn) -> TestOut:
    """Send what a contact would get to a number of one's own; the campaign's counts do not change."""
    campaign = await _found(services(request), key.organization_id, campaign_id)
    is_named = body.contact_id is not None or body.phone is not None
    person = body if is_named else body.model_copy(update={"phone": body.to})
    rendered = await services(request).campaign_account.preview(
        key.organization_id, campaign_id, **person.model_dump(exclude={"to"})
    )
    message_id = await services(request).outbound.send(
        organization_id=key.organization_id,
        instance_id=campaign.instance_id,
        to=body.to,
        content=outgoing(rendered.content),
    )
    return TestOut(message_id=message_id)


@router.get("/campaigns/{campaign_id}/audience", summary="Whom it would write to")
async def audience(request: Request, key: CurrentKey, campaign_id: UUID) -> AudienceOut:
    """Count whom a start would take now, and leave out by reason, without storing anything."""
    return AudienceOut(**await _audience(services(request), key.organization_id, campaign_id))


@router.post(
    "/campaigns/{campaign_id}/audience",
    summary="Upload its audience",
    openapi_extra=dict(BODY),
    responses=LENGTH,
)
async def upload_audience(
    request: Request,
    key: CurrentKey,
    campaign_id: UUID,
    country: Annotated[
        str | None, Query(max_length=2, description="Two letters: numbers may be written as at home.", examples=["BR"])
    ] = None,
) -> AudienceTakenOut:
    """Make a CSV file the audience of a campaign that was not started, in place of the one that it had.

    The first line names the columns; ``phone`` is needed, and the others are each recipient's ``params``.
    """
    of = services(request)
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        await received(request, file)
        taken = await take_file(of.database, key.organization_id, campaign_id, file, country=country)
    counts = await _audience(of, key.organization_id, campaign_id)
    return AudienceTakenOut(**counts, rows=taken.rows, parameters=list(taken.parameters))


@router.get("/campaigns/{campaign_id}/recipients", summary="Its recipients")
async def recipients(  # noqa: PLR0917  FastAPI passes them by name
    request: Request,
    key: CurrentKey,
    campaign_id: UUID,
    limit: Annotated[int, Query(ge=1, le=500, description="Recipients at most.")] = 100,
    after: Annotated[int | None, Query(ge=0, description="Only those after this position.")] = None,
    status: Annotated[str | None, Query(description="Only those of this status.")] = None,
) -> RecipientsOut:
    """Return recipients in the order of the audience, the excluded ones too."""
    found = await services(request).campaign_account.recipients(
        key.organization_id, campaign_id, status=status, after=after, limit=limit + 1
    )
    page = [RecipientOut.model_validate(each) for each in found[:limit]]
    return RecipientsOut(data=page, next=page[-1].position if len(found) > limit else None)


@router.get("/campaigns/{campaign_id}/progress", summary="Its progress, counted now")
async def progress(request: Request, key: CurrentKey, campaign_id: UUID) -> dict[str, Any]:
    """Count every recipient anew: also of a campaign that is finished, whose receipts and answers still come."""
    of = services(request)
    counted = await of.campaigns.progress(key.organization_id, campaign_id)
    return counted.stored() | await of.campaign_account.expected(key.organization_id, campaign_id, counted)


@router.get("/campaigns/{campaign_id}/ledger", summary="The account")
async def ledger(request: Request, key: CurrentKey, campaign_id: UUID) -> LedgerOut:
    """Account for every recipient, and name each mismatch."""
    return ledger_out(await services(request).campaign_account.ledger(key.organization_id, campaign_id))


@router.post("/campaigns/{campaign_id}/rehearse", summary="Play it on a virtual clock")
async def rehearse(
    request: Request, key: CurrentKey, campaign_id: UUID, body: RehearseIn | None = None
) -> RehearsalOut:
    """Return when it would end, and how many would be sent in each hour."""
    start_at = body.start_at if body else None
    if start_at is not None and start_at.tzinfo is None:
        raise Invalid("start_at", "has no zone", remedy="give one, for instance 2026-11-27T18:00:00-03:00")
    played, excluded = await services(request).campaign_account.rehearse(
        key.organization_id, campaign_id, start=start_at, reply_share=body.reply_share if body else None
    )
    return rehearsal_out(played, excluded)


async def _found(of: Services, organization_id: UUID, campaign_id: UUID) -> Campaign:
    if (found := await of.campaigns.get(organization_id, campaign_id)) is None:
        raise Missing("campaign", campaign_id)
    return found


async def _audience(of: Services, organization_id: UUID, campaign_id: UUID) -> dict[str, Any]:
    counts = await of.campaigns.audience(organization_id, campaign_id)
    lacking = await of.campaign_account.lacking(organization_id, campaign_id)
    return {"planned": counts.pop("planned", 0), "excluded": counts, "lacking": lacking}
