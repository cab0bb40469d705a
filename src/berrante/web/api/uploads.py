"""Whether a file that a request names was uploaded by whoever names it."""

from uuid import UUID

from berrante.gateways.media import MediaMissing, MediaStore
from berrante.messaging.errors import Invalid
from berrante.messaging.messages.bodies import stored_reference


async def check_upload(media: MediaStore, organization_id: UUID, media_id: str, *, field: str) -> None:
    """Raise ``Invalid`` that names the field, unless the organization's file is there."""
    try:
        await media.find(organization_id, stored_reference(organization_id, media_id))
    except MediaMissing as error:
        raise Invalid(field, "names no file of yours", remedy="upload it with POST /v1/media") from error
