"""The tables of campaigns: what is planned, who is written to by which number, and what became of each."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from berrante.store import MOMENT, metadata

# Written into statements, not bound: with a parameter PostgreSQL cannot see that a partial index serves, and would read
# a million rows.
PENDING: Final = literal_column("'pending'", Text)
EXCLUDED: Final = literal_column("'excluded'", Text)
QUEUED: Final = literal_column("'queued'", Text)
SENDING: Final = literal_column("'sending'", Text)

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    # The number that stands in the campaign's job: the first of campaign_numbers.
    Column("instance_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("content", JSONB, nullable=False),
    Column("audience", JSONB, nullable=False),
    Column("pace", JSONB, nullable=False),
    # What answers a recipient's answer, in place of what its words would start, or before that.
    Column("reply_automation_id", Uuid, ForeignKey("automations.id", ondelete="SET NULL")),
    Column("reply_automation_mode", Text, nullable=False, server_default=text("'instead'")),
    Column("status", Text, nullable=False),
    # Why it is paused, if nobody asked for it.
    Column("reason", Text),
    Column("start_at", MOMENT),
    Column("started_at", MOMENT),
    Column("finished_at", MOMENT),
    # The audience is frozen in batches; the cursor is where the next begins, null once all is frozen.
    Column("frozen_at", MOMENT),
    Column("freeze_cursor", Text),
    Column("positions", BigInteger, nullable=False, server_default=text("0")),
    # What was counted last, and when: counting a million rows at every tick would be the tick's main work.
    Column("counts", JSONB),
    Column("counted_at", MOMENT),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("updated_at", MOMENT, nullable=False, server_default=func.now()),
    CheckConstraint(
        "status IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')",
        name="status",
    ),
    CheckConstraint("reply_automation_mode IN ('instead', 'before')", name="reply_automation_mode"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    UniqueConstraint("organization_id", "id"),
    Index(
        "ix_campaigns_reply_automation", "reply_automation_id", postgresql_where=text("reply_automation_id IS NOT NULL")
    ),
    Index("ix_campaigns_running", "id", postgresql_where=text("status IN ('scheduled', 'running')")),
)

campaign_numbers = Table(
    "campaign_numbers",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("instance_id", Text, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("place", Integer, nullable=False),
    Column("weight", Integer, nullable=False),
    # When the number's next slot is; null before its first.
    Column("next_at", MOMENT),
    CheckConstraint("weight >= 1", name="weight"),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
    ),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "instance_id"),
)

#: An audience that was given as a list: numbers as they will be kept, with the parameters of their lines.
campaign_entries = Table(
    "campaign_entries",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", Uuid, nullable=False),
    # As it is kept; as it was written, if it is no number: then what is wrong with it is beside it.
    Column("address", Text, nullable=False),
    Column("problem", Text),
    Column("params", JSONB, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
    ),
)

campaign_recipients = Table(
    "campaign_recipients",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("organization_id", Uuid, nullable=False),
    # Null until a contact that is only in a list is written to. Not a foreign key: a recipient outlives its contact.
    Column("contact_id", Uuid),
    Column("address", Text, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("variant", Text, nullable=False),
    Column("params", JSONB, nullable=False),
    # Never wrote to this number, when the audience was frozen.
    Column("stranger", Boolean, nullable=False),
    # Once there is a message, the message's status is the recipient's.
    Column("status", Text, nullable=False),
    Column("reason", Text),
    Column("not_before", MOMENT, nullable=False),
    # When the message that waits in the lane may no longer be sent: quiet hours begin.
    Column("send_until", MOMENT),
    Column("message_id", Uuid, ForeignKey("messages.id", ondelete="CASCADE")),
    Column("attempt", Integer, nullable=False, server_default=text("1")),
    Column("past_messages", ARRAY(Uuid), nullable=False, server_default=text("'{}'::uuid[]")),
    Column("replied_at", MOMENT),
    CheckConstraint("status IN ('pending', 'written', 'skipped', 'excluded')", name="status"),
    CheckConstraint("(status = 'written') = (message_id IS NOT NULL)", name="written_has_a_message"),
    CheckConstraint("(status IN ('skipped', 'excluded')) = (reason IS NOT NULL)", name="unwritten_has_a_reason"),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
    ),
    Index(
        "uq_campaign_recipients_contact",
        "campaign_id",
        "contact_id",
        unique=True,
        postgresql_where=text("contact_id IS NOT NULL"),
    ),
    # Twice in the audience is once in the campaign: the second is excluded, with the reason.
    Index(
        "uq_campaign_recipients_address",
        "campaign_id",
        "address",
        unique=True,
        postgresql_where=text("status <> 'excluded'"),
    ),
    Index(
        "ix_campaign_recipients_pending",
        "campaign_id",
        "instance_id",
        "not_before",
        "position",
        postgresql_where=text("status = 'pending'"),
    ),
    Index(
        "uq_campaign_recipients_message",
        "message_id",
        unique=True,
        postgresql_where=text("message_id IS NOT NULL"),
    ),
)

#: How many are pending in each zone, so that nobody reads a million rows to know it. Ticks count them down; what is not
#: there, or no longer fits, is counted anew from the recipients.
campaign_zones = Table(
    "campaign_zones",
    metadata,
    Column("campaign_id", Uuid, primary_key=True),
    Column("instance_id", Text, primary_key=True),
    Column("zone", Text, primary_key=True),
    Column("stranger", Boolean, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("pending", Integer, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "campaign_id"], ["campaigns.organization_id", "campaigns.id"], ondelete="CASCADE"
    ),
)

#: What campaigns wrote from a number on a day of theirs: caps hold for all campaigns of the number together.
campaign_days = Table(
    "campaign_days",
    metadata,
    Column("instance_id", Text, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("written", Integer, nullable=False),
    Column("first_contacts", Integer, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id", "instance_id"),
)

campaign_settings = Table(
    "campaign_settings",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True),
    # Words by language; null: the usual ones.
    Column("opt_out_words", JSONB),
    # What is answered to whoever opts out; null: nothing.
    Column("opt_out_reply", Text),
    # How long after a campaign's message an answer counts as an answer to it.
    Column("reply_hours", Integer, nullable=False, server_default=text("72")),
    CheckConstraint("reply_hours BETWEEN 1 AND 720", name="reply_hours"),
)
