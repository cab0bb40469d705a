"""The table that counts what webhooks brought and we do not understand."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, PrimaryKeyConstraint, Table, Text, Uuid

from berrante.store import metadata

webhook_unknowns = Table(
    "webhook_unknowns",
    metadata,
    Column("organization_id", Uuid, nullable=False),
    Column("instance_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    PrimaryKeyConstraint("instance_id", "kind"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
)
