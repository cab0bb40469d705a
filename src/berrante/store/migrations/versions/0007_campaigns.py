"""Campaigns: content, audience, pace, several numbers, and recipients that are frozen."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from berrante.store.tenancy import enable_tenancy

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_OLD = "status IN ('draft', 'running', 'done', 'cancelled')"
_NEW = "status IN ('draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled')"


def upgrade() -> None:
    """Widen campaigns, and make recipients anew; what there was is kept."""
    _campaigns()
    _campaign_numbers()
    _campaign_entries()
    op.execute("CREATE TEMPORARY TABLE old_recipients ON COMMIT DROP AS SELECT * FROM campaign_recipients")
    op.drop_table("campaign_recipients")
    _campaign_recipients()
    _keep_recipients()
    _campaign_days()
    _campaign_settings()
    op.create_index(
        "ix_messages_open_instance",
        "messages",
        ["instance_id"],
        postgresql_where=sa.text("status IN ('queued', 'sending')"),
    )


def downgrade() -> None:
    """Take it back; campaigns become what they can be: one text, one number, and whom they were to write to."""
    op.drop_index("ix_messages_open_instance", "messages")
    op.drop_table("campaign_settings")
    op.drop_table("campaign_days")
    op.execute("CREATE TEMPORARY TABLE new_recipients ON COMMIT DROP AS SELECT * FROM campaign_recipients")
    op.drop_table("campaign_recipients")
    _old_recipients()
    op.execute(
        "INSERT INTO campaign_recipients (id, campaign_id, organization_id, address, position, status, message_id)"
        " SELECT gen_random_uuid(), campaign_id, organization_id, address, position, status, message_id"
        " FROM new_recipients WHERE status <> 'excluded'"
    )
    op.drop_table("campaign_entries")
    op.drop_table("campaign_numbers")
    op.add_column("campaigns", sa.Column("body", sa.Text()))
    op.execute("UPDATE campaigns SET body = coalesce(content->'variants'->0->>'text', '')")
    op.alter_column("campaigns", "body", nullable=False)
    op.drop_constraint("ck_campaigns_status", "campaigns")
    op.execute("UPDATE campaigns SET status = 'done' WHERE status = 'finished'")
    op.execute("UPDATE campaigns SET status = 'draft' WHERE status IN ('scheduled', 'paused')")
    op.create_check_constraint("ck_campaigns_status", "campaigns", _OLD)
    op.drop_constraint("uq_campaigns_organization_id_id", "campaigns")
    op.create_index("ix_campaigns_organization_id_id", "campaigns", ["organization_id", "id"])
    op.drop_index("ix_campaigns_running", "campaigns")
    op.create_index("ix_campaigns_running", "campaigns", ["id"], postgresql_where=sa.text("status = 'running'"))
    for column in (
        "content",
        "audience",
        "pace",
        "reason",
        "start_at",
        "started_at",
        "finished_at",
        "frozen_at",
        "freeze_cursor",
        "positions",
        "counts",
        "counted_at",
        "updated_at",
    ):
        op.drop_column("campaigns", column)


def _campaigns() -> None:
    moment = sa.DateTime(timezone=True)
    op.drop_constraint("ck_campaigns_status", "campaigns")
    op.drop_index("ix_campaigns_organization_id_id", "campaigns")
    op.drop_index("ix_campaigns_running", "campaigns")
    for column in (
        sa.Column("content", postgresql.JSONB()),
        sa.Column("audience", postgresql.JSONB()),
        sa.Column("pace", postgresql.JSONB()),
        sa.Column("reason", sa.Text()),
        sa.Column("start_at", moment),
        sa.Column("started_at", moment),
        sa.Column("finished_at", moment),
        sa.Column("frozen_at", moment),
        sa.Column("freeze_cursor", sa.Text()),
        sa.Column("positions", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("counts", postgresql.JSONB()),
        sa.Column("counted_at", moment),
        sa.Column("updated_at", moment, server_default=sa.text("now()"), nullable=False),
    ):
        op.add_column("campaigns", column)
    op.execute(
        "UPDATE campaigns SET audience = '{\"kind\": \"list\"}', pace = '{}', content = jsonb_build_object('variants',"
        " jsonb_build_array(jsonb_build_object('type', 'text', 'name', 'A', 'weight', 1, 'text',"
        " '{% raw %}' || body || '{% endraw %}'))),"
        " status = CASE status WHEN 'done' THEN 'finished' ELSE status END,"
        " frozen_at = created_at, started_at = CASE WHEN status <> 'draft' THEN created_at END"
    )
    for name in ("content", "audience", "pace"):
        op.alter_column("campaigns", name, nullable=False)
    op.drop_column("campaigns", "body")
    op.create_check_constraint("ck_campaigns_status", "campaigns", _NEW)
    op.create_unique_constraint("uq_campaigns_organization_id_id", "campaigns", ["organization_id", "id"])
    op.create_index(
        "ix_campaigns_running", "campaigns", ["id"], postgresql_where=sa.text("status IN ('scheduled', 'running')")
    )


def _of_campaign(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", "campaign_id"],
        ["campaigns.organization_id", "campaigns.id"],
        name=f"fk_{table}_organization_id_campaign_id",
        ondelete="CASCADE",
    )


def _of_instance(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", "instance_id"],
        ["instances.organization_id", "instances.id"],
        name=f"fk_{table}_organization_id_instance_id",
        ondelete="CASCADE",
    )


def _campaign_numbers() -> None:
    op.create_table(
        "campaign_numbers",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("weight", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("weight >= 1", name="ck_campaign_numbers_weight"),
        _of_campaign("campaign_numbers"),
        _of_instance("campaign_numbers"),
        sa.PrimaryKeyConstraint("campaign_id", "instance_id", name="pk_campaign_numbers"),
    )
    enable_tenancy("campaign_numbers")
    op.create_index(
        "ix_campaign_numbers_organization_id_instance_id", "campaign_numbers", ["organization_id", "instance_id"]
    )
    op.execute(
        "INSERT INTO campaign_numbers (campaign_id, instance_id, organization_id, place, weight)"
        " SELECT id, instance_id, organization_id, 0, 1 FROM campaigns"
    )


def _campaign_entries() -> None:
    op.create_table(
        "campaign_entries",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        _of_campaign("campaign_entries"),
        sa.PrimaryKeyConstraint("campaign_id", "position", name="pk_campaign_entries"),
    )
    enable_tenancy("campaign_entries")


def _campaign_recipients() -> None:
    op.create_table(
        "campaign_recipients",
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("contact_id", sa.Uuid()),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("variant", sa.Text(), nullable=False),
        sa.Column("params", postgresql.JSONB(), nullable=False),
        sa.Column("stranger", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=False),
        sa.Column("send_until", sa.DateTime(timezone=True)),
        sa.Column("message_id", sa.Uuid()),
        sa.Column("attempt", sa.Integer(), server_default=sa.text("1"), nullable=False),
        sa.Column("past_messages", postgresql.ARRAY(sa.Uuid()), server_default=sa.text("'{}'::uuid[]"), nullable=False),
        sa.Column("replied_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "status IN ('pending', 'written', 'skipped', 'excluded')", name="ck_campaign_recipients_status"
        ),
        sa.CheckConstraint(
            "(status = 'written') = (message_id IS NOT NULL)", name="ck_campaign_recipients_written_has_a_message"
        ),
        sa.CheckConstraint(
            "(status IN ('skipped', 'excluded')) = (reason IS NOT NULL)",
            name="ck_campaign_recipients_unwritten_has_a_reason",
        ),
        _of_campaign("campaign_recipients"),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_campaign_recipients_message_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("campaign_id", "position", name="pk_campaign_recipients"),
    )
    enable_tenancy("campaign_recipients")
    for name, columns, where in (
        ("uq_campaign_recipients_contact", ["campaign_id", "contact_id"], "contact_id IS NOT NULL"),
        ("uq_campaign_recipients_address", ["campaign_id", "address"], "status <> 'excluded'"),
        ("uq_campaign_recipients_message", ["message_id"], "message_id IS NOT NULL"),
    ):
        op.create_index(name, "campaign_recipients", columns, unique=True, postgresql_where=sa.text(where))
    op.create_index(
        "ix_campaign_recipients_pending",
        "campaign_recipients",
        ["campaign_id", "instance_id", "not_before", "position"],
        postgresql_where=sa.text("status = 'pending'"),
    )


def _keep_recipients() -> None:
    op.execute(
        "INSERT INTO campaign_recipients (campaign_id, position, organization_id, contact_id, address, instance_id,"
        " variant, params, stranger, status, reason, not_before, message_id)"
        " SELECT o.campaign_id, o.position, o.organization_id, m.contact_id, o.address, c.instance_id, 'A', '{}',"
        " false, o.status, CASE o.status WHEN 'skipped' THEN 'cancelled' END, c.created_at, o.message_id"
        " FROM old_recipients o JOIN campaigns c ON c.id = o.campaign_id LEFT JOIN messages m ON m.id = o.message_id"
    )
    op.execute(
        "UPDATE campaigns SET positions = coalesce("
        "(SELECT max(position) + 1 FROM campaign_recipients r WHERE r.campaign_id = campaigns.id), 0)"
    )


def _campaign_days() -> None:
    op.create_table(
        "campaign_days",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("written", sa.Integer(), nullable=False),
        sa.Column("first_contacts", sa.Integer(), nullable=False),
        _of_instance("campaign_days"),
        sa.PrimaryKeyConstraint("instance_id", "day", name="pk_campaign_days"),
    )
    enable_tenancy("campaign_days")
    op.create_index("ix_campaign_days_organization_id_instance_id", "campaign_days", ["organization_id", "instance_id"])


def _campaign_settings() -> None:
    op.create_table(
        "campaign_settings",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("opt_out_words", postgresql.JSONB()),
        sa.Column("reply_hours", sa.Integer(), server_default=sa.text("72"), nullable=False),
        sa.CheckConstraint("reply_hours BETWEEN 1 AND 720", name="ck_campaign_settings_reply_hours"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_campaign_settings_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", name="pk_campaign_settings"),
    )
    enable_tenancy("campaign_settings")


def _old_recipients() -> None:
    op.create_table(
        "campaign_recipients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("campaign_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Uuid()),
        sa.CheckConstraint(
            "(status = 'written') = (message_id IS NOT NULL)", name="ck_campaign_recipients_written_has_a_message"
        ),
        sa.CheckConstraint("status IN ('pending', 'written', 'skipped')", name="ck_campaign_recipients_status"),
        sa.ForeignKeyConstraint(
            ["campaign_id"], ["campaigns.id"], name="fk_campaign_recipients_campaign_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_campaign_recipients_message_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_campaign_recipients_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_campaign_recipients"),
        sa.UniqueConstraint("campaign_id", "address", name="uq_campaign_recipients_campaign_id_address"),
        sa.UniqueConstraint("message_id", name="uq_campaign_recipients_message_id"),
    )
    enable_tenancy("campaign_recipients")
    op.create_index("ix_campaign_recipients_organization_id", "campaign_recipients", ["organization_id"])
    op.create_index(
        "ix_campaign_recipients_pending",
        "campaign_recipients",
        ["campaign_id", "position"],
        postgresql_where=sa.text("status = 'pending'"),
    )
