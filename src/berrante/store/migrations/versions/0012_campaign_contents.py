"""Campaigns: variants as messages are written, lists from files, an automation for answers.

Drafts that hold variants in the shape before are rewritten.
"""

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_FILES = ("image", "video", "audio", "document")


def upgrade() -> None:
    """Rewrite contents; nothing of them was ever sent, since such a campaign could not start."""
    _rewrite(_new, _FILES)
    op.add_column("campaign_entries", sa.Column("problem", sa.Text()))
    op.add_column("campaigns", sa.Column("reply_automation_id", sa.Uuid()))
    op.create_foreign_key(
        "fk_campaigns_reply_automation_id",
        "campaigns",
        "automations",
        ["reply_automation_id"],
        ["id"],
        ondelete="SET NULL",
    )
    op.create_index(
        "ix_campaigns_reply_automation",
        "campaigns",
        ["reply_automation_id"],
        postgresql_where=sa.text("reply_automation_id IS NOT NULL"),
    )
    _allow_triggers("'keyword', 'any', 'campaign'")


def downgrade() -> None:
    """Write them as before; a file that was uploaded has no address, and becomes a text of its caption."""
    op.execute("DELETE FROM automations WHERE trigger = 'campaign'")
    _allow_triggers("'keyword', 'any'")
    op.drop_column("campaigns", "reply_automation_id")
    op.execute("DELETE FROM campaign_entries WHERE problem IS NOT NULL")
    op.drop_column("campaign_entries", "problem")
    _rewrite(_old, ("media",))


def _allow_triggers(triggers: str) -> None:
    op.drop_constraint("ck_automations_trigger", "automations")
    op.create_check_constraint("ck_automations_trigger", "automations", f"trigger IN ({triggers})")


def _rewrite(variant_of: Any, files: tuple[str, ...]) -> None:  # noqa: ANN401  a function
    connection = op.get_bind()
    query = "SELECT id, content FROM campaigns WHERE content->'variants' @> ANY(CAST(:types AS jsonb[]))"
    types = [json.dumps([{"type": each}]) for each in (*files, "template")]
    rows = connection.execute(sa.text(query), {"types": types}).all()
    for row in rows:
        content = {**row.content, "variants": [variant_of(each) for each in row.content["variants"]]}
        connection.execute(
            sa.text("UPDATE campaigns SET content = CAST(:content AS jsonb) WHERE id = :id"),
            {"content": json.dumps(content), "id": row.id},
        )


def _new(variant: dict[str, Any]) -> dict[str, Any]:
    if variant["type"] in _FILES:
        return {**variant, "type": "media", "kind": variant["type"]}
    if variant["type"] != "template":
        return variant
    kept = {name: value for name, value in variant.items() if name not in {"header", "body", "buttons"}}
    header = variant.get("header") or []
    return {
        **kept,
        **({"header_text": header[0]} if header else {}),
        "variables": {str(place): text for place, text in enumerate(variant.get("body") or [], 1)},
        "buttons": [
            {"index": index, "kind": "url", "value": text} for index, text in enumerate(variant.get("buttons") or [])
        ],
    }


def _old(variant: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in variant.items() if name in {"name", "weight"}}
    if variant["type"] == "media":
        if variant["kind"] not in _FILES or "url" not in variant:
            return {**kept, "type": "text", "text": variant.get("caption") or "…"}
        named = {name: value for name, value in variant.items() if name in {"url", "caption", "filename"}}
        return {**kept, "type": variant["kind"], **named}
    if variant["type"] != "template":
        return variant
    return {
        **kept,
        "type": "template",
        "template": variant["template"],
        "language": variant["language"],
        "header": [variant["header_text"]] if "header_text" in variant else [],
        "body": list(variant.get("variables", {}).values()),
        "buttons": [each["value"] for each in variant.get("buttons", [])],
    }
