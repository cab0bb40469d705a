"""Roles, sessions, scoped keys, quotas and the audit log."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from berrante.store.tenancy import enable_tenancy

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

#: What a key could do before keys had scopes.
_NOUNS = ("automations", "campaigns", "contacts", "dead_letters", "instances", "messages", "webhooks")
_SCOPES = ",".join(f"{noun}.{verb}" for noun in _NOUNS for verb in ("read", "write"))


def upgrade() -> None:
    """Make members agents, and let keys keep all that they could do."""
    _people()
    _sessions()
    _api_keys()
    _quotas()
    _audit_log()


def downgrade() -> None:
    """Agents and viewers become members; sessions, quotas and the audit log are gone."""
    op.drop_table("audit_log")
    op.drop_table("quotas")
    for column in ("last_used_at", "expires_at", "allowed_ips", "scopes"):
        op.drop_column("api_keys", column)
    op.drop_table("refresh_tokens")
    op.drop_table("sessions")
    op.drop_constraint("ck_people_role", "people")
    op.execute("UPDATE people SET role = 'member' WHERE role IN ('agent', 'viewer')")
    op.create_check_constraint("ck_people_role", "people", "role IN ('owner', 'admin', 'member')")
    for column in ("last_login_at", "disabled_at", "name"):
        op.drop_column("people", column)


def _people() -> None:
    op.drop_constraint("ck_people_role", "people")
    op.execute("UPDATE people SET role = 'agent' WHERE role = 'member'")
    op.create_check_constraint("ck_people_role", "people", "role IN ('owner', 'admin', 'agent', 'viewer')")
    op.add_column("people", sa.Column("name", sa.Text()))
    op.add_column("people", sa.Column("disabled_at", sa.DateTime(timezone=True)))
    op.add_column("people", sa.Column("last_login_at", sa.DateTime(timezone=True)))


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_because", sa.Text()),
        sa.Column("address", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.CheckConstraint("(revoked_at IS NULL) = (revoked_because IS NULL)", name="ck_sessions_revoked_because"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_sessions_organization_id", ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name="fk_sessions_person_id", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
    )
    op.create_index("ix_sessions_organization_id", "sessions", ["organization_id"])
    op.create_index("ix_sessions_person_id", "sessions", ["person_id"])
    enable_tenancy("sessions", grants="SELECT, UPDATE")
    # Without an organization, and so without a grant: the web side reads it on the platform's behalf alone.
    op.create_table(
        "refresh_tokens",
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("session_id", sa.Uuid(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_refresh_tokens_session_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sha256", name="pk_refresh_tokens"),
    )
    op.create_index("ix_refresh_tokens_session_id", "refresh_tokens", ["session_id"])


def _api_keys() -> None:
    none = sa.text("'{}'::text[]")
    op.add_column("api_keys", sa.Column("scopes", postgresql.ARRAY(sa.Text()), server_default=none, nullable=False))
    op.add_column(
        "api_keys", sa.Column("allowed_ips", postgresql.ARRAY(sa.Text()), server_default=none, nullable=False)
    )
    op.add_column("api_keys", sa.Column("expires_at", sa.DateTime(timezone=True)))
    op.add_column("api_keys", sa.Column("last_used_at", sa.DateTime(timezone=True)))
    op.execute(f"UPDATE api_keys SET scopes = '{{{_SCOPES}}}'")  # noqa: S608  a constant of ours


def _quotas() -> None:
    op.create_table(
        "quotas",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("messages_per_day", sa.Integer()),
        sa.Column("campaigns_running", sa.Integer()),
        sa.Column("contacts", sa.Integer()),
        sa.Column("requests_per_minute", sa.Integer()),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("least(messages_per_day, campaigns_running, contacts) >= 0", name="ck_quotas_not_negative"),
        sa.CheckConstraint("requests_per_minute >= 1", name="ck_quotas_requests_per_minute"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_quotas_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", name="pk_quotas"),
    )
    enable_tenancy("quotas", grants="SELECT")


def _audit_log() -> None:
    op.create_table(
        "audit_log",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid()),
        sa.Column("at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("actor_kind", sa.Text(), nullable=False),
        sa.Column("actor_id", sa.Uuid()),
        sa.Column("actor_name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text()),
        sa.Column("user_agent", sa.Text()),
        sa.Column("request_id", sa.Text()),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("subject_kind", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("before", postgresql.JSONB()),
        sa.Column("after", postgresql.JSONB()),
        sa.CheckConstraint("actor_kind IN ('person', 'key', 'command')", name="ck_audit_log_actor_kind"),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_audit_log_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_audit_log"),
    )
    op.create_index("ix_audit_log_organization_id_id", "audit_log", ["organization_id", "id"])
    enable_tenancy("audit_log", grants="SELECT, INSERT")
