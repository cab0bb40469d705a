"""The account of a campaign: every recipient once, and each mismatch between its rows and jobs named."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, exists, func, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.campaign import Campaign
from berrante.messaging.campaigns.life import Status
from berrante.messaging.campaigns.models import campaign_recipients
from berrante.messaging.campaigns.progress import CampaignProgress, count
from berrante.messaging.lost_jobs import LostJobs, Whereabouts
from berrante.messaging.messages.models import messages
from berrante.messaging.outbound.jobs import send_id
from berrante.messaging.queues import Queues

_SHOWN: Final = 20
_SEEN: Final = ("sent", "delivered", "read")
_GRACE: Final = timedelta(seconds=90)


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """Something that should not be: ``kind`` is stable, ``where`` names recipients by position, at most 20 of them."""

    kind: str
    meaning: str
    count: int
    where: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """Why recipients did not get it: ``status`` is failed, skipped or in_doubt, ``code`` what a retry may name."""

    status: str
    code: str | None
    reason: str
    count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledger:
    """``planned = sent + failed + skipped + in_doubt + open``; sent are accepted by WhatsApp, whatever came later.

    ``causes`` account for all that failed, was skipped or is in doubt, the most frequent first.
    """

    planned: int
    sent: int
    failed: int
    skipped: int
    in_doubt: int
    open: int
    excluded: dict[str, int]
    causes: tuple[Cause, ...]
    mismatches: tuple[Mismatch, ...]

    @property
    def is_clean(self) -> bool:
        """Tell whether the sum is right and nothing is wrong with any recipient."""
        return (
            self.planned == self.sent + self.failed + self.skipped + self.in_doubt + self.open and not self.mismatches
        )


_r, _m = campaign_recipients.c, messages.c
_past = messages.alias("past")


def _rules() -> list[tuple[str, str, ColumnElement[bool]]]:
    earlier = exists().where(_past.c.id == func.any(_r.past_messages))
    return [
        (
            "not_its_message",
            "the recipient's message is another campaign's, contact's or number's",
            and_(
                _m.id.is_not(None),
                or_(
                    _m.origin != "campaign",
                    _m.instance_id != _r.instance_id,
                    _m.organization_id != _r.organization_id,
                ),
            ),
        ),
        (
            "accepted_without_time",
            "the message was accepted, and nobody knows when",
            and_(_m.status.in_(_SEEN), _m.sent_at.is_(None), _m.delivered_at.is_(None), _m.read_at.is_(None)),
        ),
        (
            "receipt_against_status",
            "a receipt says that it was delivered, and the message's status does not",
            and_(or_(_m.delivered_at.is_not(None), _m.read_at.is_not(None)), _m.status.not_in(("delivered", "read"))),
        ),
        (
            "two_open_attempts",
            "an earlier attempt may still be sent",
            earlier.where(_past.c.status.in_(("queued", "sending"))),
        ),
        (
            "seen_twice",
            "an earlier attempt and the present one were both accepted",
            and_(_m.status.in_(_SEEN), earlier.where(_past.c.status.in_(_SEEN))),
        ),
    ]


async def balance(
    connection: AsyncConnection, campaign: Campaign, *, now: datetime
) -> tuple[CampaignProgress, list[Mismatch]]:
    """Count the campaign, and compare its rows."""
    progress = await count(connection, campaign.id, at=now)
    found = []
    for kind, meaning, rule in _rules():
        query = (
            select(_r.position)
            .select_from(campaign_recipients)
            .outerjoin(messages, _m.id == _r.message_id)
            .where(_r.campaign_id == campaign.id, rule)
            .order_by(_r.position)
        )
        rows = list((await connection.execute(query.limit(10_000))).scalars())
        if rows:
            found.append(Mismatch(kind=kind, meaning=meaning, count=len(rows), where=tuple(rows[:_SHOWN])))
    total = progress.planned + sum(progress.excluded.values())
    if campaign.frozen_at is not None and total != campaign.positions:
        meaning = f"{campaign.positions} recipients were frozen and {total} are there"
        found.append(
            Mismatch(kind="recipients_missing", meaning=meaning, count=abs(campaign.positions - total), where=())
        )
    if campaign.status in {Status.FINISHED, Status.CANCELLED} and progress.pending:
        meaning = f"the campaign is {campaign.status} and some were neither written to nor skipped"
        found.append(Mismatch(kind="ended_with_pending", meaning=meaning, count=progress.pending, where=()))
    return progress, found


async def causes_of(connection: AsyncConnection, campaign: Campaign) -> list[Cause]:
    """Count those who did not get it by why; of reasons that differ from recipient to recipient, one is shown."""
    status = func.coalesce(_m.status, _r.status)
    reason = func.coalesce(_m.failure_reason, _r.reason, "")
    # A recipient without a message has its code before its reason.
    code = case((_m.id.is_(None), func.split_part(_r.reason, ":", 1)), else_=_m.failure_code)
    number = func.count()
    query = (
        select(status.label("status"), code.label("code"), func.min(reason).label("reason"), number.label("count"))
        .select_from(campaign_recipients)
        .outerjoin(messages, _m.id == _r.message_id)
        .where(_r.campaign_id == campaign.id, status.in_(("failed", "skipped", "in_doubt")))
        .group_by(status, code)
        .order_by(number.desc(), status, code)
    )
    return [Cause(**row._mapping) for row in await connection.execute(query)]


async def without_jobs(
    connection: AsyncConnection, queues: Queues, campaign: Campaign, *, now: datetime
) -> list[Mismatch]:
    """Name open messages of a running campaign that no job will send; a tick gives them one within seconds."""
    if campaign.status is not Status.RUNNING:
        return []
    query = (
        select(_r.position, _m.id)
        .join(messages, _m.id == _r.message_id)
        .where(
            _m.status.in_(("queued", "sending")),
            _m.instance_id.in_([name for name, _ in campaign.numbers]),
            _m.updated_at < now - _GRACE,
            _r.campaign_id == campaign.id,
        )
    )
    rows: list[Any] = list((await connection.execute(query)).all())
    if not rows:
        return []
    places = await LostJobs(queues.outbound).whereabouts([send_id(row.id) for row in rows])
    lost = [row.position for row, place in zip(rows, places, strict=True) if place is not Whereabouts.AT_WORK]
    if not lost:
        return []
    meaning = "open for long, and no job will send it: the next tick or the reconciler adds one"
    return [Mismatch(kind="no_job", meaning=meaning, count=len(lost), where=tuple(lost[:_SHOWN]))]


def ledger_of(progress: CampaignProgress, causes: list[Cause], mismatches: list[Mismatch]) -> Ledger:
    """Return the account."""
    return Ledger(
        planned=progress.planned,
        sent=progress.accepted,
        failed=progress.failed,
        skipped=progress.skipped,
        in_doubt=progress.in_doubt,
        open=progress.open,
        excluded=dict(progress.excluded),
        causes=tuple(causes),
        mismatches=tuple(mismatches),
    )
