"""The key that signs sessions: the setting's, or in development one that is made once and kept in the data folder."""

import os
import secrets
from pathlib import Path

from berrante.app.errors import SecretUnreadable
from berrante.settings import DEVELOPMENT_KEY, Settings


def secret_key(settings: Settings) -> str:
    """Return the key; a made one begins so that production refuses it. Raises ``SecretUnreadable``."""
    if settings.secret_key is not None:
        return settings.secret_key.get_secret_value()
    path = settings.data_dir.expanduser() / "secret_key"
    try:
        if not path.exists():
            _make(path)
        return path.read_text().strip()
    except OSError as error:
        raise SecretUnreadable(path, reason=error.strerror or str(error)) from error


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Whole before it has its name, and the first of two processes wins.
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(DEVELOPMENT_KEY + secrets.token_urlsafe(48))
    try:
        os.link(unfinished, path)
    except FileExistsError:
        pass
    finally:
        unfinished.unlink()
