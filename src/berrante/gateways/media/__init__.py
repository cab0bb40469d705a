"""Where files are kept that came with messages, or are to be sent: by reference, never in the database."""

from berrante.gateways.media.fetching import FetchesMedia, MediaTooLarge, MediaUnavailable, fetches_media
from berrante.gateways.media.folder import SENDABLE, FolderMediaStore
from berrante.gateways.media.store import MAX_BYTES, MediaMissing, MediaStore, Stored

__all__ = [
    "MAX_BYTES",
    "SENDABLE",
    "FetchesMedia",
    "FolderMediaStore",
    "MediaMissing",
    "MediaStore",
    "MediaTooLarge",
    "MediaUnavailable",
    "Stored",
    "fetches_media",
]
