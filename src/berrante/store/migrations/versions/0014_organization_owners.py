"""Owners of organizations."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Let an organization have owners; whoever has no organization still is the platform's owner."""
    op.drop_constraint("ck_people_owner_has_no_organization", "people")
    op.create_check_constraint(
        "ck_people_only_owners_have_no_organization", "people", "organization_id IS NOT NULL OR role = 'owner'"
    )


def downgrade() -> None:
    """Make owners of organizations admins."""
    op.drop_constraint("ck_people_only_owners_have_no_organization", "people")
    op.execute("UPDATE people SET role = 'admin' WHERE role = 'owner' AND organization_id IS NOT NULL")
    op.create_check_constraint(
        "ck_people_owner_has_no_organization", "people", "(role = 'owner') = (organization_id IS NULL)"
    )
