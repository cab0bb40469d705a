"""The web side sees one organization at a time."""

from typing import Final

from berrante.store.tenancy import disable_tenancy, enable_tenancy

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TABLES: Final = (
    "api_keys",
    "automation_runs",
    "automations",
    "campaign_recipients",
    "campaigns",
    "contacts",
    "instances",
    "messages",
    "people",
    "webhook_unknowns",
)


def upgrade() -> None:
    """Guard every table that belongs to organizations; an organization sees of its own kind only itself."""
    for table in _TABLES:
        enable_tenancy(table)
    enable_tenancy("organizations", column="id", grants="SELECT")


def downgrade() -> None:
    """Let everyone see everything again; the role stays, as other databases of the server may use it."""
    for table in (*_TABLES, "organizations"):
        disable_tenancy(table)
