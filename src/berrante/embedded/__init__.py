"""The same engines as in production, started for you in one folder: Valkey and PostgreSQL from Python packages."""

from berrante.embedded.data_dir import DataDir
from berrante.embedded.errors import (
    DataDirInUse,
    EmbeddedError,
    EmbeddedUnavailable,
    FolderClosed,
    StartFailed,
    StopFailed,
)
from berrante.embedded.postgres import EmbeddedPostgres
from berrante.embedded.valkey import EmbeddedValkey

__all__ = [
    "DataDir",
    "DataDirInUse",
    "EmbeddedError",
    "EmbeddedPostgres",
    "EmbeddedUnavailable",
    "EmbeddedValkey",
    "FolderClosed",
    "StartFailed",
    "StopFailed",
]
