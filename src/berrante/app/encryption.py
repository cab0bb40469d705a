"""The key that seals secrets in the database: configured, or made once beside an embedded database."""

import os
from pathlib import Path
from typing import Final

from berrante.settings import Settings
from berrante.store import Cipher
from berrante.store.encryption import new_key

_FILE: Final = "encryption.key"


def cipher_of(settings: Settings) -> Cipher | None:
    """Return the cipher, or None if the database is not ours and no key is configured. Raises ``KeyMalformed``."""
    if settings.encryption_key is not None:
        return Cipher.parse(settings.encryption_key.get_secret_value())
    if settings.database_url is not None:
        # A key that each machine makes for itself would seal what no other can open.
        return None
    return Cipher.parse(_kept(settings.data_dir / _FILE))


def _kept(path: Path) -> str:
    """Return the key in the file, made by whoever comes first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(new_key() + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        # A link, not a rename: of two processes that start at once, the second finds the first one's key.
        os.link(temporary, path)
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
    return path.read_text().strip()
