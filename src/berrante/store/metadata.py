"""The metadata that every table joins, and the one type of a point in time."""

from typing import Final

from sqlalchemy import DateTime, MetaData

#: Names are derived, so that a migration can name what it changes.
metadata: Final = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: ``timestamptz``: a point in time, never a wall clock.
MOMENT: Final = DateTime(timezone=True)
