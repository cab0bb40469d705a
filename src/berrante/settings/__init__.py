"""Everything that can be set, in one typed object read from the environment. Knows no other room."""

from berrante.settings.loading import SettingsInvalid, load, unknown_variables
from berrante.settings.model import DEVELOPMENT_KEY, Environment, LogFormat, LogLevel, Settings, Traces
from berrante.settings.sections import (
    BaileysSettings,
    DemoSettings,
    OwnerSettings,
    QueueSettings,
    RateScope,
    S3Settings,
    WebhooksSettings,
)
from berrante.settings.table import markdown

__all__ = [
    "DEVELOPMENT_KEY",
    "BaileysSettings",
    "DemoSettings",
    "Environment",
    "LogFormat",
    "LogLevel",
    "OwnerSettings",
    "QueueSettings",
    "RateScope",
    "S3Settings",
    "Settings",
    "SettingsInvalid",
    "Traces",
    "WebhooksSettings",
    "load",
    "markdown",
    "unknown_variables",
]
