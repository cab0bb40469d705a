"""Where this process keeps files, by its settings."""

from berrante.gateways.media import Bucket, FolderMediaStore, MediaStore, S3MediaStore
from berrante.settings import Settings


def media_store(settings: Settings) -> MediaStore:
    """Return the bucket if one is named, else the folder; close it at the end."""
    s3 = settings.s3
    if not s3.bucket:
        return FolderMediaStore(settings.media_dir or settings.data_dir / "media")
    assert s3.secret_key is not None  # the settings see to it
    return S3MediaStore(
        Bucket(
            name=s3.bucket,
            access_key=s3.access_key,
            secret_key=s3.secret_key.get_secret_value(),
            region=s3.region,
            endpoint=s3.endpoint,
            prefix=s3.prefix,
            path_style=s3.path_style,
        )
    )
