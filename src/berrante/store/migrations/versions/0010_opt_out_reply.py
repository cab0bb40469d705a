"""The text by which an organization confirms that somebody opted out."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an organization have such a text; nobody has one before it was written."""
    op.add_column("campaign_settings", sa.Column("opt_out_reply", sa.Text()))


def downgrade() -> None:
    """Forget the texts."""
    op.drop_column("campaign_settings", "opt_out_reply")
