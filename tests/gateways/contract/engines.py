"""The real servers that a world is built on, and the product's settings on them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from berrante.settings import Settings
from berrante.store.encryption import new_key
from tests.app.process import settings_for


@dataclass(frozen=True, kw_only=True)
class Engines:
    """What a world is built on."""

    redis_url: str
    database_url: str
    prefix: str
    folder: Path
    encryption_key: str = field(default_factory=new_key)

    def settings(self, **more: Any) -> Settings:
        given = {"redis_url": self.redis_url, "database_url": self.database_url, "prefix": self.prefix}
        settings = settings_for(**given, data_dir=self.folder, encryption_key=SecretStr(self.encryption_key), **more)
        quick = {"backoff_delay_ms": 20, "attempts": 30}
        names = ("message", "outbound")
        return settings.model_copy(update={name: settings.queue(name).model_copy(update=quick) for name in names})
