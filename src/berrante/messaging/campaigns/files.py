"""The uploaded files that a campaign names: they stay as long as the campaign, which may be tried again or copied."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from berrante.messaging.campaigns.content import Content
from berrante.messaging.files.keeping import name_files, record_named, unname_files
from berrante.messaging.messages.bodies import stored_reference


async def keep_files(connection: AsyncConnection, organization_id: UUID, campaign_id: UUID, content: Content) -> None:
    """Keep what the content names, for all messages that are made of it; raises ``Invalid`` for what was deleted."""
    references = {field: stored_reference(organization_id, each) for field, each in content.uploads.items()}
    await name_files(connection, organization_id=organization_id, campaign_id=campaign_id, references=references)


async def keep_copied(connection: AsyncConnection, organization_id: UUID, campaign_id: UUID, content: Content) -> None:
    """Keep what another campaign's content names, which kept it so far, or is older than the records of files."""
    await record_named(connection, [stored_reference(organization_id, each) for each in content.uploads.values()])
    await keep_files(connection, organization_id, campaign_id, content)


async def drop_files(
    connection: AsyncConnection, organization_id: UUID, campaign_id: UUID, content: Content | None, *, at: datetime
) -> None:
    """Let go of what the content does not name; without one, of all."""
    kept = [stored_reference(organization_id, each) for each in content.uploads.values()] if content else []
    await unname_files(connection, campaign_id=campaign_id, kept=kept, at=at)
