"""The content of a campaign, as a body gives it."""

from uuid import UUID

from berrante.messaging.campaigns.content import Content
from berrante.messaging.errors import Invalid
from berrante.web.api.uploads import check_upload
from berrante.web.services import Services


def content_of(text: str | None, content: dict[str, object] | None, *, needed: bool) -> object:
    """Return what is given, a text or a content; raises ``Invalid`` for both, and for neither if one is needed."""
    if text is not None and content is not None:
        raise Invalid("text", "and content are both given", remedy="give one of them")
    if needed and text is None and content is None:
        raise Invalid("text", "is missing", remedy="give text or content")
    return text if content is None else content


async def check_uploads(of: Services, organization_id: UUID, content: object) -> None:
    """Raise ``Invalid`` for a content that names a file which the organization did not upload."""
    if content is not None:
        for field, media_id in Content.read(content, organization_id=organization_id).uploads.items():
            await check_upload(of.media, organization_id, media_id, field=field)
