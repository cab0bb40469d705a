"""Numbers of the Cloud API, what Meta says of them and of prices, and what must not be sent now."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from berrante.store.tenancy import enable_tenancy

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables. Secrets that are there already are sealed by the first process that has a key."""
    _cloud_numbers()
    _sending_holds()
    _pair_rates()
    _opened_chats()
    _number_updates()
    _message_prices()


def downgrade() -> None:
    """Drop the tables with their rows, tokens too; app secrets stay as they are stored, sealed ones sealed."""
    op.drop_table("message_prices")
    op.drop_table("number_updates")
    op.drop_table("opened_chats")
    op.drop_table("pair_rates")
    op.drop_table("sending_holds")
    op.drop_table("cloud_numbers")


def _cloud_numbers() -> None:
    op.create_table(
        "cloud_numbers",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("access_token", sa.Text()),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("graph_version", sa.Text(), nullable=False),
        sa.Column("business_account_id", sa.Text()),
        sa.Column("portfolio_id", sa.Text()),
        sa.Column("messaging_limit", sa.Integer()),
        sa.Column("quality", sa.Text()),
        sa.Column("rate_per_s", sa.Float()),
        sa.Column("rate_changed_at", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("messaging_limit > 0", name="ck_cloud_numbers_messaging_limit"),
        sa.CheckConstraint("rate_per_s > 0", name="ck_cloud_numbers_rate_per_s"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_cloud_numbers_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", name="pk_cloud_numbers"),
    )
    enable_tenancy("cloud_numbers")
    op.create_index(
        "ix_cloud_numbers_organization_id_business_account_id",
        "cloud_numbers",
        ["organization_id", "business_account_id"],
    )


def _sending_holds() -> None:
    op.create_table(
        "sending_holds",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("campaigns_only", sa.Boolean(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True)),
        sa.CheckConstraint(
            "what ~ '^(number|account|campaigns|template:.+|contact:.+)$'", name="ck_sending_holds_what"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_sending_holds_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", "what", name="pk_sending_holds"),
    )
    enable_tenancy("sending_holds")
    op.create_index("ix_sending_holds_organization_id", "sending_holds", ["organization_id"])


def _pair_rates() -> None:
    op.create_table(
        "pair_rates",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("even_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id", "contact_id"],
            ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
            name="fk_pair_rates_organization_id_instance_id_contact_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("contact_id", name="pk_pair_rates"),
    )
    enable_tenancy("pair_rates")
    op.create_index("ix_pair_rates_even_at", "pair_rates", ["even_at"])


def _opened_chats() -> None:
    op.create_table(
        "opened_chats",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("portfolio", sa.Text(), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id", "contact_id"],
            ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
            name="fk_opened_chats_organization_id_instance_id_contact_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("contact_id", name="pk_opened_chats"),
    )
    enable_tenancy("opened_chats")
    op.create_index(
        "ix_opened_chats_organization_id_portfolio_opened_at",
        "opened_chats",
        ["organization_id", "portfolio", "opened_at"],
    )
    op.create_index("ix_opened_chats_opened_at", "opened_chats", ["opened_at"])


def _number_updates() -> None:
    op.create_table(
        "number_updates",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("details", postgresql.JSONB(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_number_updates_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("instance_id", "subject", name="pk_number_updates"),
    )
    enable_tenancy("number_updates")
    op.create_index("ix_number_updates_organization_id", "number_updates", ["organization_id"])


def _message_prices() -> None:
    op.create_table(
        "message_prices",
        sa.Column("message_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("billable", sa.Boolean()),
        sa.Column("model", sa.Text()),
        sa.Column("category", sa.Text()),
        sa.Column("type", sa.Text()),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name="fk_message_prices_message_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_message_prices_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_prices"),
    )
    enable_tenancy("message_prices")
    op.create_index("ix_message_prices_organization_id", "message_prices", ["organization_id"])
