"""The table of API keys; of a secret only its hash is kept."""

from sqlalchemy import Column, ForeignKey, Table, Text, Uuid, func, text
from sqlalchemy.dialects.postgresql import ARRAY

from berrante.store import MOMENT, metadata

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organizations.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("sha256", Text, nullable=False, unique=True),
    Column("created_at", MOMENT, nullable=False, server_default=func.now()),
    Column("revoked_at", MOMENT),
    Column("scopes", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    # Networks such as 203.0.113.0/24; none means from anywhere.
    Column("allowed_ips", ARRAY(Text), nullable=False, server_default=text("'{}'::text[]")),
    Column("expires_at", MOMENT),
    # Written at most once a minute.
    Column("last_used_at", MOMENT),
)
