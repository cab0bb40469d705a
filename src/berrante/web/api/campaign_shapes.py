"""What the routes of campaigns give."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from berrante.messaging.campaigns import Campaign
from berrante.messaging.campaigns.ledger import Ledger
from berrante.messaging.campaigns.life import legal
from berrante.messaging.campaigns.rehearsal import Rehearsal, chart


class SettingsOut(BaseModel):
    """The settings that hold."""

    model_config = ConfigDict(from_attributes=True)

    opt_out_words: dict[str, list[str]]
    reply_hours: int
    opt_out_reply: str | None


class CampaignOut(BaseModel):
    """One campaign; ``legal`` are the moves that it can make, ``progress`` was counted at ``progress_at``."""

    id: UUID
    name: str
    instance_id: str
    numbers: dict[str, int]
    content: dict[str, Any]
    audience: dict[str, Any]
    pace: dict[str, Any]
    reply_automation_id: UUID | None
    reply_automation_mode: str
    status: str
    reason: str | None
    legal: list[str]
    start_at: datetime | None
    started_at: datetime | None
    finished_at: datetime | None
    created_at: datetime
    updated_at: datetime
    progress: dict[str, Any] | None
    progress_at: datetime | None


class CampaignsOut(BaseModel):
    """A page; give ``next`` as ``before`` to have the page after it, null if this is the last."""

    data: list[CampaignOut]
    next: UUID | None


class RecipientOut(BaseModel):
    """One recipient; ``status`` is its message's once there is one."""

    model_config = ConfigDict(from_attributes=True)

    position: int
    address: str
    contact_id: UUID | None
    instance_id: str
    variant: str
    status: str
    reason: str | None
    failure_code: str | None
    attempt: int
    message_id: UUID | None
    sent_at: datetime | None
    delivered_at: datetime | None
    read_at: datetime | None
    replied_at: datetime | None


class RecipientsOut(BaseModel):
    """A page; give ``next`` as ``after`` to have the page after it, null if this is the last."""

    data: list[RecipientOut]
    next: int | None


class MismatchOut(BaseModel):
    """Something that does not fit; ``where`` are positions, at most 20 of ``count``."""

    model_config = ConfigDict(from_attributes=True)

    kind: str
    meaning: str
    count: int
    where: list[int]


class CauseOut(BaseModel):
    """Why recipients did not get it; ``retry`` takes the ``code``."""

    model_config = ConfigDict(from_attributes=True)

    status: str
    code: str | None
    reason: str
    count: int


class LedgerOut(BaseModel):
    """``planned = sent + failed + skipped + in_doubt + open``; ``causes`` say why of those that were not sent."""

    planned: int
    sent: int
    failed: int
    skipped: int
    in_doubt: int
    open: int
    excluded: dict[str, int]
    causes: list[CauseOut]
    is_clean: bool
    mismatches: list[MismatchOut]


class HourOut(BaseModel):
    """Sends in the hour that begins ``at``, in half of the plays and in nine of ten at most; and answers in half."""

    model_config = ConfigDict(from_attributes=True)

    at: datetime
    p50: int
    p90: int
    replies_p50: int


class RehearsalOut(BaseModel):
    """How it would go; ends are null if it takes more than a year. ``others`` are messages of other campaigns."""

    recipients: int
    start: datetime
    end_p50: datetime | None
    end_p90: datetime | None
    runs: int
    per_hour: dict[str, int]
    hours: list[HourOut]
    chart: list[str]
    others: int
    reply_share: float
    by_number: dict[str, int]
    excluded: dict[str, int]


class AudienceOut(BaseModel):
    """Whom a start would take now, and leave out by reason; ``lacking`` are planned, without what a text names."""

    planned: int
    excluded: dict[str, int]
    lacking: dict[str, int]


class AudienceTakenOut(AudienceOut):
    """What a file held; ``parameters`` are its columns as texts name them, after ``params.``."""

    rows: int
    parameters: list[str]


class PreviewOut(BaseModel):
    """What the contact would get."""

    variant: str
    content: dict[str, Any]


class RetriedOut(BaseModel):
    """How many recipients are written to again."""

    recipients: int


class TestOut(BaseModel):
    """The message that was sent to oneself."""

    message_id: UUID


def campaign_out(campaign: Campaign) -> CampaignOut:
    """Return a campaign as the API shows it."""
    return CampaignOut(
        id=campaign.id,
        name=campaign.name,
        instance_id=campaign.instance_id,
        numbers=dict(campaign.numbers),
        content=campaign.content.stored(),
        audience=campaign.audience.stored(),
        pace=campaign.pace.stored(),
        reply_automation_id=campaign.reply_automation_id,
        reply_automation_mode=campaign.reply_automation_mode.value,
        status=campaign.status.value,
        reason=campaign.reason,
        legal=list(legal(campaign.status)),
        start_at=campaign.start_at,
        started_at=campaign.started_at,
        finished_at=campaign.finished_at,
        created_at=campaign.created_at,
        updated_at=campaign.updated_at,
        progress=dict(campaign.counts) if campaign.counts is not None else None,
        progress_at=campaign.counted_at,
    )


def ledger_out(ledger: Ledger) -> LedgerOut:
    """Return a ledger as the API shows it."""
    return LedgerOut(
        planned=ledger.planned,
        sent=ledger.sent,
        failed=ledger.failed,
        skipped=ledger.skipped,
        in_doubt=ledger.in_doubt,
        open=ledger.open,
        excluded=ledger.excluded,
        causes=[CauseOut.model_validate(each) for each in ledger.causes],
        is_clean=ledger.is_clean,
        mismatches=[MismatchOut.model_validate(each) for each in ledger.mismatches],
    )


def rehearsal_out(played: Rehearsal, excluded: dict[str, int]) -> RehearsalOut:
    """Return a rehearsal as the API shows it."""
    return RehearsalOut(
        recipients=played.recipients,
        start=played.start,
        end_p50=played.end_p50,
        end_p90=played.end_p90,
        runs=played.runs,
        per_hour={hour.isoformat(): number for hour, number in played.per_hour.items()},
        hours=[HourOut.model_validate(each) for each in played.hours],
        chart=chart(played.hours),
        others=played.others,
        reply_share=played.reply_share,
        by_number=played.by_number,
        excluded=excluded,
    )
