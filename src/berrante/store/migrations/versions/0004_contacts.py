"""Contacts: identities without a phone, custom fields, tags, consent, erasure; and imports of them."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from berrante.store.tenancy import enable_tenancy

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_GUARDED = ("contact_import_errors", "contact_import_chunks", "contact_imports", "opt_outs", "consents")
_OF_ITS_KIND = (
    "(address_kind = 'phone' AND address ~ '^\\+[0-9]{5,20}$')"
    " OR (address_kind = 'lid' AND address ~ '^[0-9]{5,25}@lid$')"
    " OR (address_kind = 'bsuid' AND address ~ '^[A-Z]{2}\\.[A-Za-z0-9.]{5,125}$')"
    " OR (address_kind = 'erased' AND erased_at IS NOT NULL)"
)


def upgrade() -> None:
    """Widen contacts, then create what refers to them."""
    _contacts()
    _consents()
    _opt_outs()
    _contact_imports()
    for table in _GUARDED:
        enable_tenancy(table)
    op.drop_index("ix_messages_contact_id", "messages")
    op.create_index("ix_messages_contact_id_id", "messages", ["contact_id", "id"])


def downgrade() -> None:
    """Take it back; contacts without a phone number go, with their messages, since nothing there can name them."""
    op.drop_index("ix_messages_contact_id_id", "messages")
    op.create_index("ix_messages_contact_id", "messages", ["contact_id"])
    for table in _GUARDED:
        op.drop_table(table)
    op.execute("DELETE FROM contacts WHERE address_kind <> 'phone'")
    for index in (
        "ix_contacts_conversations",
        "ix_contacts_fields",
        "ix_contacts_tags",
        "ix_contacts_organization_id_address",
        "ix_contacts_organization_id_id",
    ):
        op.drop_index(index, "contacts")
    op.drop_constraint("ck_contacts_consent", "contacts")
    op.drop_constraint("ck_contacts_address_is_of_its_kind", "contacts")
    for column in _new_columns():
        op.drop_column("contacts", column.name)
    op.create_check_constraint("ck_contacts_address_is_e164", "contacts", "address ~ '^\\+[0-9]{5,20}$'")


def _contacts() -> None:
    op.drop_constraint("ck_contacts_address_is_e164", "contacts")
    for column in _new_columns():
        op.add_column("contacts", column)
    # Names that are here already are found by their words as they are; accents count until they are written anew.
    op.execute(
        r"UPDATE contacts SET name_key = ' ' || lower(regexp_replace(name, '\W+', ' ', 'g')) WHERE name IS NOT NULL"
    )
    op.create_check_constraint("ck_contacts_address_is_of_its_kind", "contacts", _OF_ITS_KIND)
    op.create_check_constraint("ck_contacts_consent", "contacts", "consent IN ('unknown', 'opted_in', 'opted_out')")
    op.create_index("ix_contacts_organization_id_id", "contacts", ["organization_id", "id"])
    op.create_index(
        "ix_contacts_organization_id_address",
        "contacts",
        ["organization_id", "address"],
        postgresql_ops={"address": "text_pattern_ops"},
    )
    op.create_index("ix_contacts_tags", "contacts", ["tags"], postgresql_using="gin")
    op.create_index(
        "ix_contacts_fields",
        "contacts",
        ["fields"],
        postgresql_using="gin",
        postgresql_ops={"fields": "jsonb_path_ops"},
    )
    op.create_index(
        "ix_contacts_conversations",
        "contacts",
        ["organization_id", "last_message_at", "id"],
        postgresql_where=sa.text("last_message_at IS NOT NULL"),
    )


def _new_columns() -> list[sa.Column[Any]]:
    return [
        sa.Column("address_kind", sa.Text(), server_default="phone", nullable=False),
        sa.Column("whatsapp_address", sa.Text()),
        sa.Column("name_key", sa.Text()),
        sa.Column("name_given", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("language", sa.Text()),
        sa.Column("fields", postgresql.JSONB(), server_default=sa.text("'{}'::jsonb"), nullable=False),
        sa.Column("tags", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'::text[]"), nullable=False),
        sa.Column("consent", sa.Text(), server_default="unknown", nullable=False),
        sa.Column("consent_at", sa.DateTime(timezone=True)),
        sa.Column("blocked_at", sa.DateTime(timezone=True)),
        sa.Column("suppressed_at", sa.DateTime(timezone=True)),
        sa.Column("suppression_reason", sa.Text()),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.Column("read_until", sa.DateTime(timezone=True)),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
    ]


def _consents() -> None:
    op.create_table(
        "consents",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Uuid(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("text", sa.Text()),
        sa.Column("by", sa.Text()),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("state IN ('opted_in', 'opted_out')", name="ck_consents_state"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id", "contact_id"],
            ["contacts.organization_id", "contacts.instance_id", "contacts.id"],
            name="fk_consents_organization_id_instance_id_contact_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_consents"),
    )
    op.create_index("ix_consents_contact_id_id", "consents", ["contact_id", "id"])
    op.create_index(
        "ix_consents_organization_id_instance_id_contact_id",
        "consents",
        ["organization_id", "instance_id", "contact_id"],
    )


def _opt_outs() -> None:
    op.create_table(
        "opt_outs",
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("address_hash", sa.LargeBinary(), nullable=False),
        sa.Column("opted_out_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organizations.id"], name="fk_opt_outs_organization_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("organization_id", "address_hash", name="pk_opt_outs"),
    )


def _contact_imports() -> None:
    op.create_table(
        "contact_imports",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("instance_id", sa.Text(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("filename", sa.Text()),
        sa.Column("country", sa.Text()),
        sa.Column("by", sa.Text()),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("layout", postgresql.JSONB()),
        sa.Column("bytes_total", sa.BigInteger(), nullable=False),
        sa.Column("bytes_done", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("lines_done", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("updated", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("rejected", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True)),
        sa.CheckConstraint("status IN ('waiting', 'running', 'done', 'failed')", name="ck_contact_imports_status"),
        sa.ForeignKeyConstraint(
            ["organization_id", "instance_id"],
            ["instances.organization_id", "instances.id"],
            name="fk_contact_imports_organization_id_instance_id",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_contact_imports"),
        sa.UniqueConstraint("instance_id", "digest", name="uq_contact_imports_instance_id_digest"),
    )
    op.create_index("ix_contact_imports_organization_id_id", "contact_imports", ["organization_id", "id"])
    op.create_index(
        "ix_contact_imports_open",
        "contact_imports",
        ["id"],
        postgresql_where=sa.text("status IN ('waiting', 'running')"),
    )
    op.create_table(
        "contact_import_chunks",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["contact_imports.id"], name="fk_contact_import_chunks_import_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "position", name="pk_contact_import_chunks"),
    )
    op.create_table(
        "contact_import_errors",
        sa.Column("import_id", sa.Uuid(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("organization_id", sa.Uuid(), nullable=False),
        sa.Column("column", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["contact_imports.id"], name="fk_contact_import_errors_import_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "line", name="pk_contact_import_errors"),
    )
