"""The database: its engine, its tables' metadata, its ids and its migrations. Knows no WhatsApp and no queue."""

from berrante.store.database import Database
from berrante.store.ids import IdMaker, new_id
from berrante.store.metadata import MOMENT, metadata
from berrante.store.migrating import downgrade, migrate, revision

__all__ = ["MOMENT", "Database", "IdMaker", "downgrade", "metadata", "migrate", "new_id", "revision"]
