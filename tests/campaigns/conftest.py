from tests.app.conftest import application, settings
from tests.messaging.conftest import database, platform

__all__ = ["application", "database", "platform", "settings"]
