"""Numbers on Baileys: the sidecar's leases, keys and journal."""

import sqlalchemy as sa
from alembic import op

from berrante.store.tenancy import enable_tenancy

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let instances be on Baileys, and make what its sidecar needs."""
    _gateways("'simulator', 'cloud', 'baileys'")
    op.create_table(
        "baileys_sessions",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("creds", sa.LargeBinary()),
        sa.Column("paired", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("owner", sa.Text()),
        sa.Column("leased_until", sa.DateTime(timezone=True)),
        sa.Column("fence", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _instance("baileys_sessions"),
        sa.PrimaryKeyConstraint("instance_id", name="pk_baileys_sessions"),
    )
    op.create_table(
        "baileys_keys",
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        _instance("baileys_keys"),
        sa.PrimaryKeyConstraint("instance_id", "type", "id", name="pk_baileys_keys"),
    )
    op.create_table(
        "baileys_journal",
        sa.Column("number", sa.BigInteger(), sa.Identity(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("chat", sa.Text(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("entry", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        _instance("baileys_journal"),
        sa.PrimaryKeyConstraint("number", name="pk_baileys_journal"),
        sa.UniqueConstraint("instance_id", "chat", "message_id", name="uq_baileys_journal_instance_id_chat_message_id"),
    )
    # The web side needs none of them: it may not even read its own organization's keys.
    for table in ("baileys_sessions", "baileys_keys", "baileys_journal"):
        enable_tenancy(table, grants="REFERENCES")


def downgrade() -> None:
    """Drop the sidecar's tables; instances on Baileys go with them, since nothing could serve them."""
    op.drop_table("baileys_journal")
    op.drop_table("baileys_keys")
    op.drop_table("baileys_sessions")
    op.execute("DELETE FROM instances WHERE gateway = 'baileys'")
    _gateways("'simulator', 'cloud'")


def _instance(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["organization_id", "instance_id"],
        ["instances.organization_id", "instances.id"],
        name=f"fk_{table}_organization_id_instance_id",
        ondelete="CASCADE",
    )


def _gateways(names: str) -> None:
    op.drop_constraint("ck_instances_gateway", "instances", type_="check")
    op.create_check_constraint(op.f("ck_instances_gateway"), "instances", f"gateway IN ({names})")
