"""The database: its engine, its tables' metadata, its ids and its migrations. Knows no WhatsApp and no queue."""

from berrante.store.database import Database
from berrante.store.encryption import Cipher, EncryptionError, KeyMissing
from berrante.store.ids import IdMaker, first_id, new_id
from berrante.store.metadata import MOMENT, metadata
from berrante.store.migrating import downgrade, migrate, revision
from berrante.store.sealed import Sealed
from berrante.store.tenancy import disable_tenancy, enable_tenancy, unguarded_tables

__all__ = [
    "MOMENT",
    "Cipher",
    "Database",
    "EncryptionError",
    "IdMaker",
    "KeyMissing",
    "Sealed",
    "disable_tenancy",
    "downgrade",
    "enable_tenancy",
    "first_id",
    "metadata",
    "migrate",
    "new_id",
    "revision",
    "unguarded_tables",
]
