"""What is read before an attempt, and what is stored after it: the delivery's fate and its endpoint's."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Update, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.endpoints import policy
from berrante.messaging.endpoints.emitting import Told, emit
from berrante.messaging.endpoints.events import EventType
from berrante.messaging.endpoints.models import webhook_deliveries, webhook_endpoints
from berrante.messaging.endpoints.sending import Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """A delivery as a worker finds it, with what it needs of its endpoint."""

    id: UUID
    organization_id: UUID
    endpoint_id: UUID
    round: int
    status: str
    event: str
    body: bytes
    attempts: int
    url: str
    secret: str
    previous_secret: str | None
    previous_secret_until: datetime | None
    disabled_reason: str | None
    failures: int
    open_until: datetime | None

    def keys(self, now: datetime) -> list[str]:
        """Return the secrets to sign with: during a rotation the old one too."""
        until = self.previous_secret_until
        old = [self.previous_secret] if self.previous_secret and until is not None and until > now else []
        return [self.secret, *old]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What a failed attempt led to: the next in ``wait_ms``, or none; ``disabled`` says why the endpoint is, now."""

    wait_ms: int | None
    disabled: str | None
    told: list[Told]


async def find(connection: AsyncConnection, delivery_id: UUID) -> Due | None:
    """Return a delivery of whatever organization."""
    names = [column.name for column in webhook_endpoints.c if column.name in Due.__dataclass_fields__]
    query = (
        select(
            *(webhook_deliveries.c[name] for name in Due.__dataclass_fields__ if name in webhook_deliveries.c),
            *(webhook_endpoints.c[name] for name in names if name not in webhook_deliveries.c),
        )
        .join(webhook_endpoints, webhook_endpoints.c.id == webhook_deliveries.c.endpoint_id)
        .where(webhook_deliveries.c.id == delivery_id)
    )
    row = (await connection.execute(query)).one_or_none()
    return Due(**row._mapping) if row else None


async def waits(connection: AsyncConnection, delivery_id: UUID, *, because: str) -> None:
    """Say on a delivery why it is not even tried; it uses up no try."""
    mine = (webhook_deliveries.c.id == delivery_id, webhook_deliveries.c.status == "pending")
    await connection.execute(update(webhook_deliveries).where(*mine).values(error=because))


async def may_probe(connection: AsyncConnection, due: Due, *, now: datetime) -> bool:
    """Let one delivery try out an endpoint that rested; the others go on resting until it is back, or lost."""
    mine = (webhook_endpoints.c.id == due.endpoint_id, webhook_endpoints.c.open_until == due.open_until)
    claimed = await connection.execute(update(webhook_endpoints).where(*mine).values(open_until=now + policy.PROBE))
    return claimed.rowcount == 1


async def skipped(connection: AsyncConnection, due: Due) -> None:
    """Say that the delivery is not sent, since its endpoint is disabled."""
    await connection.execute(_still(due).values(status="skipped", error="the endpoint is disabled"))


async def delivered(connection: AsyncConnection, due: Due, answer: Answer, *, now: datetime) -> None:
    """Store that the endpoint took the delivery, and that it is well."""
    values = _told_of(answer, due, now) | {"status": "delivered", "delivered_at": now}
    await connection.execute(_still(due).values(values))
    ill = (webhook_endpoints.c.id == due.endpoint_id, webhook_endpoints.c.failures > 0)
    well = {"failures": 0, "failing_since": None, "open_until": None}
    await connection.execute(update(webhook_endpoints).where(*ill).values(well))


async def failed(connection: AsyncConnection, due: Due, answer: Answer, *, now: datetime, chance: float) -> Outcome:
    """Store a failed attempt, and let the endpoint rest or be disabled if it is one of many in a row."""
    attempts = due.attempts + 1
    wait_ms = policy.wait_ms(attempts, chance=chance)
    values = _told_of(answer, due, now) | {"status": "failed" if wait_ms is None else "pending"}
    if wait_ms is not None:
        values["due_at"] = now + timedelta(milliseconds=wait_ms)
    await connection.execute(_still(due).values(values))

    c = webhook_endpoints.c
    breaker = select(c.failures, c.failing_since, c.disabled_at).where(c.id == due.endpoint_id)
    endpoint = (await connection.execute(breaker.with_for_update(key_share=True))).one_or_none()
    if endpoint is None:  # deleted while we sent, and its deliveries with it
        return Outcome(wait_ms=None, disabled=None, told=[])
    failures, since = endpoint.failures + 1, endpoint.failing_since or now
    rest = policy.rest(failures)
    disabled = None
    if endpoint.disabled_at is None:
        disabled = policy.given_up(failures, failing_since=since, now=now)
    change = {"failures": failures, "failing_since": since, "open_until": now + rest if rest else None}
    if disabled is not None:
        change |= {"disabled_at": now, "disabled_reason": disabled}
    await connection.execute(update(webhook_endpoints).where(webhook_endpoints.c.id == due.endpoint_id).values(change))
    if disabled is None:
        return Outcome(wait_ms=wait_ms, disabled=None, told=[])
    await connection.execute(_still(due).values(status="failed"))
    notice = {"webhook_id": str(due.endpoint_id), "url": due.url, "reason": disabled}
    told = await emit(connection, due.organization_id, EventType.WEBHOOK_DISABLED, notice)
    return Outcome(wait_ms=None, disabled=disabled, told=told)


def _told_of(answer: Answer, due: Due, now: datetime) -> dict[str, object]:
    return {
        "attempts": due.attempts + 1,
        "attempted_at": now,
        "answer_status": answer.status,
        "answer_body": answer.body,
        "answer_ms": answer.ms,
        "error": answer.error,
    }


def _still(due: Due) -> Update:
    # A replay that came meanwhile has begun another round: what an attempt of the old one met is not its story.
    return update(webhook_deliveries).where(
        webhook_deliveries.c.id == due.id,
        webhook_deliveries.c.round == due.round,
        webhook_deliveries.c.status == "pending",
    )
