"""The column type of a secret: sealed on the way into the database, opened on the way out."""

from typing import Final
from weakref import WeakKeyDictionary

from sqlalchemy import Dialect, Text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.types import TypeDecorator

from berrante.store.encryption import Cipher, KeyMissing, is_sealed

#: Each engine has a dialect of its own, and that is all that a column type gets to see of it.
_CIPHERS: Final[WeakKeyDictionary[Dialect, Cipher]] = WeakKeyDictionary()


class Sealed(TypeDecorator[str]):
    """A secret; ``context`` is its table and column.

    Without a cipher a ``required`` one is refused (``KeyMissing``), another is stored as it is, and sealed by the first
    process that has a key. Values of the days before are read as they are.
    """

    impl = Text
    cache_ok = True

    def __init__(self, context: str, *, required: bool = True) -> None:
        super().__init__()
        self.context = context
        self.required = required

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seal."""
        if value is None:
            return None
        cipher = _CIPHERS.get(dialect)
        if cipher is not None:
            return cipher.seal(value, self.context)
        if self.required:
            raise KeyMissing(self.context)
        return value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Open."""
        if value is None or not is_sealed(value):
            return value
        cipher = _CIPHERS.get(dialect)
        if cipher is None:
            raise KeyMissing(self.context)
        return cipher.open(value, self.context)


def use_cipher(engine: AsyncEngine, cipher: Cipher) -> None:
    """Have the engine's ``Sealed`` columns use this cipher."""
    _CIPHERS[engine.dialect] = cipher
