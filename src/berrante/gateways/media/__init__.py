"""Where files are kept that came with messages, or are to be sent: by reference, never in the database."""

from berrante.gateways.media.fetching import FetchesMedia, MediaTooLarge, MediaUnavailable, fetches_media
from berrante.gateways.media.folder import FolderMediaStore
from berrante.gateways.media.store import MediaMissing, MediaStore, Stored

__all__ = [
    "FetchesMedia",
    "FolderMediaStore",
    "MediaMissing",
    "MediaStore",
    "MediaTooLarge",
    "MediaUnavailable",
    "Stored",
    "fetches_media",
]
