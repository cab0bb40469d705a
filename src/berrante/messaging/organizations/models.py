"""The table of organizations: the tenants."""

from sqlalchemy import Column, Table, Text, Uuid, func

from berrante.store import MOMENT, metadata

organizations = Table(
    "organizations",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
)
