"""Where files are kept that came with messages, or are to be sent: by reference, never in the database."""

from berrante.gateways.media.fetching import FetchesMedia, MediaTooLarge, MediaUnavailable, fetches_media
from berrante.gateways.media.folder import FolderMediaStore
from berrante.gateways.media.naming import SENDABLE, is_reference, named, named_by
from berrante.gateways.media.s3 import Bucket, S3MediaStore
from berrante.gateways.media.spooling import Spooled, TooLong, spooled
from berrante.gateways.media.store import MAX_BYTES, MediaMissing, MediaStore, MediaStoreUnavailable, Stored

__all__ = [
    "MAX_BYTES",
    "SENDABLE",
    "Bucket",
    "FetchesMedia",
    "FolderMediaStore",
    "MediaMissing",
    "MediaStore",
    "MediaStoreUnavailable",
    "MediaTooLarge",
    "MediaUnavailable",
    "S3MediaStore",
    "Spooled",
    "Stored",
    "TooLong",
    "fetches_media",
    "is_reference",
    "named",
    "named_by",
    "spooled",
]
