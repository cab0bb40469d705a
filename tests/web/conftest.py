from tests.app.conftest import application, settings

__all__ = ["application", "settings"]
