"""The first tables."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables, those that others refer to first."""
    _organizations()
    _api_keys()
    _instances()
    _people()
    _automations()
    _campaigns()
    _contacts()
    _webhook_unknowns()
    _messages()
    _automation_runs()
    _campaign_recipients()


def downgrade() -> None:
    """Drop all tables with their rows; their indexes go with them."""
    op.drop_table("campaign_recipients")
    op.drop_table("automation_runs")
    op.drop_table("messages")
    op.drop_table("webhook_unknowns")
    op.drop_table("contacts")
    op.drop_table("campaigns")
    op.drop_table("automations")
    op.drop_table("people")
    op.drop_table("instances")
    op.drop_table("api_keys")
    op.drop_table("organizations")


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_organizations"),
    )


def _api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("prefix", sa.Text(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_api_keys_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
        sa.UniqueConstraint("sha256", name="uq_api_keys_sha256"),
    )
    op.create_index("ix_api_keys_organization_id", "api_keys", ["organization_id"])


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("gateway", sa.Text(), nullable=False),
        sa.Column("phone_number_id", sa.Text()),
        sa.Column("display_number", sa.Text()),
        sa.Column("app_secret", sa.Text()),
        sa.Column("verify_token", sa.Text()),
        sa.Column("settings", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("gateway IN ('simulator', 'cloud')", name="ck_instances_gateway"),
        sa.CheckConstraint("id ~ '^[a-z0-9-]{1,40}$'", name="ck_instances_id_is_short"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_instances_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_instances"),
        sa.UniqueConstraint("organization_id", "id", name="uq_instances_organization_id_id"),
    )


def _people() -> None:
    op.create_table(
        "people",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid()),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(role = 'owner') = (organization_id IS NULL)", name="ck_people_owner_has_no_organization"),
        sa.CheckConstraint("role IN ('owner', 'admin', 'member')", name="ck_people_role"),
        sa.CheckConstraint("email = lower(email)", name="ck_people_email_is_lower"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_people_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_people"),
        sa.UniqueConstraint("email", name="uq_people_email"),
    )
    op.create_index("ix_people_organization_id", "people", ["organization_id"])


def _automations() -> None:
    op.create_table(
        "automations",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text()),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("keywords", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column("delay_ms", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("enabled", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("trigger IN ('keyword', 'any')", name="ck_automations_trigger"),
        sa.CheckConstraint("delay_ms >= 0", name="ck_automations_delay_ms"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_automations_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_automations_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_automations"),
    )
    op.create_index("ix_automations_organization_id_instance_id", "automations", ["organization_id", "instance_id"])


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('draft', 'running', 'done', 'cancelled')", name="ck_campaigns_status"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_campaigns_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_campaigns"),
    )
    op.create_index("ix_campaigns_organization_id_id", "campaigns", ["organization_id", "id"])
    op.create_index("ix_campaigns_running", "campaigns", ["id"], postgresql_where=sa.text("status = 'running'"))


def _contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("name", sa.Text()),
        sa.Column("first_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_message_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("address ~ '^\\+[0-9]{5,20}$'", name="ck_contacts_address_is_e164"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_contacts_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_contacts"),
        sa.UniqueConstraint("instance_id", "address", name="uq_contacts_instance_id_address"),
        sa.UniqueConstraint("organization_id", "instance_id", "id", name="uq_contacts_organization_id_instance_id_id"),
    )


def _webhook_unknowns() -> None:
    op.create_table(
        "webhook_unknowns",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_webhook_unknowns_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", "kind", name="pk_webhook_unknowns"),
    )


def _messages() -> None:
    op.create_table(
        "messages",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("direction", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False),
        sa.Column("wire_id", sa.Text(), nullable=False),
        sa.Column("provider_id", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("content", postgresql.JSONB(), nullable=False),
        sa.Column("failure_code", sa.Text()),
        sa.Column("failure_reason", sa.Text()),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("delivered_at", sa.DateTime(timezone=True)),
        sa.Column("read_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "(direction = 'in') = (origin = 'contact')", name="ck_messages_only_incoming_is_from_a_contact"
        ),
        sa.CheckConstraint("(direction = 'in') = (status = 'received')", name="ck_messages_only_incoming_is_received"),
        sa.CheckConstraint("direction IN ('in', 'out')", name="ck_messages_direction"),
        sa.CheckConstraint("origin IN ('contact', 'automation', 'campaign', 'api')", name="ck_messages_origin"),
        sa.CheckConstraint(
            "status IN ('received', 'queued', 'sending', 'in_doubt', 'sent', 'skipped', 'failed', 'delivered', 'read')",
            name="ck_messages_status",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id", "contact_id"],
            ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
            name="fk_messages_organization_id_instance_id_contact_id",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_messages_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        sa.UniqueConstraint("instance_id", "wire_id", name="uq_messages_instance_id_wire_id"),
    )
    op.create_index("ix_messages_contact_id", "messages", ["contact_id"])
    op.create_index(
        "ix_messages_instance_id_provider_id",
        "messages",
        ["instance_id", "provider_id"],
        postgresql_where=sa.text("provider_id IS NOT NULL"),
    )
    op.create_index("ix_messages_open", "messages", ["id"], postgresql_where=sa.text("status IN ('queued', 'sending')"))
    op.create_index("ix_messages_organization_id_id", "messages", ["organization_id", "id"])
    op.create_index("ix_messages_organization_id_instance_id_id", "messages", ["organization_id", "instance_id", "id"])


def _automation_runs() -> None:
    op.create_table(
        "automation_runs",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("automation_id", sa.Uuid(), nullable=False),
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reply_message_id", sa.Uuid()),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("status IN ('open', 'done', 'skipped', 'failed')", name="ck_automation_runs_status"),
        sa.ForeignKeyConstraint(
            ["automation_id"], ["automations.id"], name="fk_automation_runs_automation_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_automation_runs_message_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_automation_runs_organization_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["reply_message_id"], ["messages.id"], name="fk_automation_runs_reply_message_id", ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_automation_runs"),
        sa.UniqueConstraint("automation_id", "message_id", name="uq_automation_runs_automation_id_message_id"),
    )
    op.create_index("ix_automation_runs_message_id", "automation_runs", ["message_id"])
    op.create_index(
        "ix_automation_runs_open", "automation_runs", ["due_at"], postgresql_where=sa.text("status = 'open'")
    )
    op.create_index("ix_automation_runs_organization_id", "automation_runs", ["organization_id"])
    op.create_index("ix_automation_runs_reply_message_id", "automation_runs", ["reply_message_id"])


def _campaign_recipients() -> None:
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
    op.create_index("ix_campaign_recipients_organization_id", "campaign_recipients", ["organization_id"])
    op.create_index(
        "ix_campaign_recipients_pending",
        "campaign_recipients",
        ["campaign_id", "position"],
        postgresql_where=sa.text("status = 'pending'"),
    )
