"""Makes recipients of an audience: set-based, in batches, each of which is whole or not there.

A batch moves the campaign's cursor in its own transaction, so a freeze that was cut off goes on where it stood. Nobody
is left out silently: who is not written to is a row too, with the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    Text,
    Uuid,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    insert,
    literal,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.audience import Audience
from berrante.messaging.campaigns.content import Shares
from berrante.messaging.campaigns.models import EXCLUDED, PENDING, campaign_entries, campaign_recipients, campaigns
from berrante.messaging.campaigns.pace.zones import DIGITS_BY_CODE
from berrante.messaging.campaigns.segments import compiled, parse
from berrante.messaging.contacts.models import contacts, opt_outs
from berrante.messaging.messages.models import messages

BATCH: Final = 20_000

#: Why somebody of the audience is not written to, the first that applies.
REASONS: Final = (
    "invalid_number",
    "erased",
    "no_identity",
    "opted_out",
    "suppressed",
    "blocked",
    "frequency_cap",
    "duplicate",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a freeze needs to know of its campaign; ``at`` is when it began: later contacts are not in it."""

    organization_id: UUID
    campaign_id: UUID
    audience: Audience
    numbers: Shares
    variants: Shares
    at: datetime
    #: Whose list it is, if another campaign's: a preview has no recipients of its own.
    entries_of: UUID | None = None
    #: Whose pending recipients are meant, instead of the audience anew.
    recipients_of: UUID | None = None

    @property
    def list_id(self) -> UUID:
        """The campaign whose list is read."""
        return self.entries_of or self.campaign_id


@dataclass(frozen=True, kw_only=True, slots=True)
class Frozen:
    """What a batch did; ``cursor`` is None once the audience is through."""

    rows: int
    cursor: str | None


async def freeze_batch(
    connection: AsyncConnection, plan: Plan, *, cursor: str | None, position: int, size: int = BATCH
) -> Frozen:
    """Insert the next recipients and move the cursor, in the caller's transaction, which holds the campaign's lock."""
    if plan.audience.segment is None:
        source, next_cursor = await _entries(connection, plan, cursor, size)
    else:
        source, next_cursor = await _contacts(connection, plan, cursor, size)
    if source is None:
        return Frozen(rows=0, cursor=None)
    columns = ["position" if each.name == "place" else each.name for each in source.selected_columns]
    statement = insert(campaign_recipients).from_select([*columns, "status"], _placed(source, position))
    rows = (await connection.execute(statement)).rowcount
    moved = update(campaigns).where(campaigns.c.id == plan.campaign_id)
    await connection.execute(moved.values(freeze_cursor=next_cursor, positions=position + rows))
    return Frozen(rows=rows, cursor=next_cursor)


async def counts_by_reason(connection: AsyncConnection, plan: Plan) -> dict[str, int]:
    """Count whom a freeze would take (``planned``) and leave out, by reason, without storing anything."""
    found = whole(plan).subquery()
    reason = func.coalesce(found.c.reason, "planned")
    query = select(reason, func.count()).group_by(reason)
    return {row[0]: row[1] for row in await connection.execute(query)}


async def groups_of(connection: AsyncConnection, plan: Plan, *, zone_field: str | None) -> Sequence[Any]:
    """Count the recipients by what the scheduler knows of them: number, stranger, zone, the number's first digits."""
    if plan.recipients_of is not None:
        pending = (campaign_recipients.c.campaign_id == plan.recipients_of, campaign_recipients.c.status == PENDING)
        found = select(campaign_recipients).where(*pending).subquery()
    else:
        found = whole(plan).subquery()
    zone = found.c.params["fields"][zone_field or ""].astext
    groups = [found.c.reason, found.c.instance_id, found.c.stranger, zone.label("zone")]
    prefix = func.substr(found.c.address, 1, _telling(found.c.address)).label("prefix")
    query = select(*groups, prefix, func.count().label("number")).group_by(*groups[:3], literal_column("zone"), prefix)
    return (await connection.execute(query)).all()


def _telling(address: ColumnElement[str]) -> ColumnElement[int]:
    """Return how many characters of a number tell its zone: fewer characters are fewer groups."""
    by_digits: dict[int, list[str]] = {}
    for code, digits in DIGITS_BY_CODE.items():
        by_digits.setdefault(digits, []).append(code)
    first = func.substr(address, 2, 2)
    return case(*((first.in_(codes), 1 + digits) for digits, codes in by_digits.items() if digits > 2), else_=3)


async def _contacts(
    connection: AsyncConnection, plan: Plan, cursor: str | None, size: int
) -> tuple[Select[Any] | None, str | None]:
    own = [contacts.c.organization_id == plan.organization_id]
    if cursor is not None:
        own.append(contacts.c.id > UUID(cursor))
    page = select(contacts.c.id).where(*own).order_by(contacts.c.id).limit(size).subquery()
    # The last id of the page, found by sorting: PostgreSQL has no max() of a UUID.
    last = (await connection.execute(select(page.c.id).order_by(page.c.id.desc()).limit(1))).scalar_one_or_none()
    if last is None:
        return None, None
    return _recipients_of_contacts(plan, and_(*own, contacts.c.id <= last)), str(last)


def _recipients_of_contacts(plan: Plan, page: ColumnElement[bool]) -> Select[Any]:
    assert plan.audience.segment is not None
    condition = compiled(parse(plan.audience.segment), now=plan.at)
    names = [name for name, _ in plan.numbers.weights]
    # A person of several numbers is written to once: by the campaign's own number that knows it, else by its share.
    place = func.row_number().over(
        partition_by=contacts.c.address, order_by=[contacts.c.instance_id.in_(names).desc(), contacts.c.id]
    )
    twice = or_(place > 1, _is_there(plan, contacts.c.address))
    number = case(
        (contacts.c.instance_id.in_(names), contacts.c.instance_id),
        else_=plan.numbers.column(contacts.c.address, salt=f"number:{plan.campaign_id}"),
    )
    values = {
        "contact_id": contacts.c.id,
        "address": contacts.c.address,
        "instance_id": number,
        "stranger": contacts.c.last_message_at.is_(None),
        "params": _frozen_params(contacts, literal({}, JSONB)),
        "reason": _reason(plan, contacts, twice),
        "place": literal(0, BigInteger),
    }
    return _rows(plan, values).where(page, contacts.c.first_seen_at <= plan.at, condition)


async def _entries(
    connection: AsyncConnection, plan: Plan, cursor: str | None, size: int
) -> tuple[Select[Any] | None, str | None]:
    begin = int(cursor) if cursor is not None else 0
    page = and_(
        campaign_entries.c.campaign_id == plan.list_id,
        campaign_entries.c.position >= begin,
        campaign_entries.c.position < begin + size,
    )
    if not (await connection.execute(select(exists().where(page)))).scalar_one():
        return None, None
    return _recipients_of_entries(plan, page), str(begin + size)


def _recipients_of_entries(plan: Plan, page: ColumnElement[bool]) -> Select[Any]:
    number = plan.numbers.column(campaign_entries.c.address, salt=f"number:{plan.campaign_id}")
    names = [name for name, _ in plan.numbers.weights]
    known = (
        select(contacts)
        .where(contacts.c.organization_id == plan.organization_id, contacts.c.address == campaign_entries.c.address)
        .order_by(contacts.c.instance_id.in_(names).desc(), contacts.c.id)
        .limit(1)
        .lateral("known")
    )
    place = func.row_number().over(partition_by=campaign_entries.c.address, order_by=campaign_entries.c.position)
    twice = or_(place > 1, _is_there(plan, campaign_entries.c.address))
    barred = exists().where(
        opt_outs.c.organization_id == plan.organization_id,
        opt_outs.c.address_hash == _address_hash(plan.organization_id, campaign_entries.c.address),
    )
    invalid = campaign_entries.c.problem.is_not(None)
    values = {
        # Of a number that is there twice, only the first row names the contact.
        "contact_id": case((or_(twice, invalid), null()), else_=known.c.id),
        "address": campaign_entries.c.address,
        "instance_id": case((known.c.instance_id.in_(names), known.c.instance_id), else_=number),
        "stranger": known.c.last_message_at.is_(None),
        "params": _frozen_params(known, campaign_entries.c.params),
        "reason": case((invalid, literal("invalid_number", Text)), else_=_reason(plan, known, twice, barred=barred)),
        "place": campaign_entries.c.position,
    }
    joined = campaign_entries.outerjoin(known, true())
    return _rows(plan, values).select_from(joined).where(page)


def whole(plan: Plan) -> Select[Any]:
    """Return the rows of the whole audience."""
    if plan.audience.segment is None:
        return _recipients_of_entries(plan, campaign_entries.c.campaign_id == plan.list_id)
    return _recipients_of_contacts(plan, contacts.c.organization_id == plan.organization_id)


def _rows(plan: Plan, values: dict[str, ColumnElement[Any]]) -> Select[Any]:
    fixed: dict[str, ColumnElement[Any]] = {
        "campaign_id": cast(literal(plan.campaign_id), Uuid),
        "organization_id": cast(literal(plan.organization_id), Uuid),
        "variant": plan.variants.column(values["address"], salt=f"variant:{plan.campaign_id}"),
        "not_before": literal(plan.at),
    }
    return select(*(value.label(name) for name, value in (fixed | values).items()))


def _placed(source: Select[Any], position: int) -> Select[Any]:
    """Return the rows in the order of the audience, numbered from ``position`` on, with their status."""
    found = source.subquery()
    order = (found.c.place, found.c.contact_id)
    number = func.row_number().over(order_by=order) + position - 1
    columns: list[ColumnElement[Any]] = [number if column.name == "place" else column for column in found.c]
    status = case((found.c.reason.is_(None), literal("pending", Text)), else_=literal("excluded", Text))
    return select(*columns, status.label("status")).order_by(*order)


def _frozen_params(contact: FromClause, params: ColumnElement[Any]) -> ColumnElement[Any]:
    c = contact.c
    return func.jsonb_build_object(
        "name", c.name, "language", c.language, "tags", c.tags, "fields", c.fields, "params", params, type_=JSONB
    )


def _reason(
    plan: Plan, contact: FromClause, twice: ColumnElement[bool], *, barred: ColumnElement[bool] | None = None
) -> ColumnElement[Any]:
    c = contact.c
    opted_out = c.consent == "opted_out"
    whens = [
        (c.erased_at.is_not(None), "erased"),
        # A contact without a phone can be answered by the number that knows it, but not found by a campaign.
        (c.address_kind != "phone", "no_identity"),
        (opted_out if barred is None else or_(opted_out, barred), "opted_out"),
        (c.suppressed_at.is_not(None), "suppressed"),
        (c.blocked_at.is_not(None), "blocked"),
        (twice, "duplicate"),
    ]
    if plan.audience.rest_days is not None:
        recent = exists().where(
            messages.c.contact_id == c.id,
            messages.c.origin == "campaign",
            messages.c.created_at > plan.at - timedelta(days=plan.audience.rest_days),
        )
        whens.insert(-1, (recent, "frequency_cap"))
    return case(*((when, literal(name, Text)) for when, name in whens), else_=cast(null(), Text))


def _is_there(plan: Plan, address: ColumnElement[str]) -> ColumnElement[bool]:
    """Tell whether an earlier batch has the address."""
    earlier = campaign_recipients.alias("earlier")
    there = (
        select(true())
        .where(earlier.c.campaign_id == plan.campaign_id, earlier.c.address == address, earlier.c.status != EXCLUDED)
        # With a limit it is asked of the index, address by address. An EXISTS is hashed: each batch would read all
        # recipients that earlier ones made, and hold them in memory.
        .limit(1)
        .correlate_except(earlier)
        .scalar_subquery()
    )
    return func.coalesce(there, false())


def _address_hash(organization_id: UUID, address: ColumnElement[str]) -> ColumnElement[bytes]:
    """Return the SQL of ``contacts.consent.address_hash``."""
    return func.sha256(literal(organization_id.bytes).op("||")(func.convert_to(address, "UTF8")))
