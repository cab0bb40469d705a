"""The table of the states that were told last, so that none is told twice."""

from sqlalchemy import CheckConstraint, Column, ForeignKeyConstraint, Index, Table, Text, Uuid

from berrante.store import MOMENT, metadata

#: A number without a row was never connected.
instance_states = Table(
    "instance_states",
    metadata,
    Column("instance_id", Text, primary_key=True),
    Column("organization_id", Uuid, nullable=False),
    Column("state", Text, nullable=False),
    Column("since", MOMENT, nullable=False),
    CheckConstraint("state IN ('connected', 'disconnected', 'restricted')", name="state"),
    ForeignKeyConstraint(
        ["organization_id", "instance_id"], ["instances.organization_id", "instances.id"], ondelete="CASCADE"
    ),
    Index(None, "organization_id"),
)
