"""The typed settings with their defaults; each field's description is its line in ``docs/settings.md``."""

import enum
from pathlib import Path
from typing import Annotated, Final, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from berrante.settings.sections import (
    HOUR_S,
    BaileysSettings,
    BoardSettings,
    DemoSettings,
    OwnerSettings,
    QueueSettings,
    S3Settings,
    WebhooksSettings,
)

#: How a secret key begins that was made, not given.
DEVELOPMENT_KEY: Final = "development-"
_CLUSTER: Final = ("redis+cluster", "rediss+cluster")


class LogLevel(enum.StrEnum):
    """From the most to the least talkative."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.StrEnum):
    """Lines for people, or one JSON object a line for machines."""

    CONSOLE = "console"
    JSON = "json"


def _redis(url: SecretStr) -> SecretStr:
    schemes = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", *_CLUSTER)
    return _url(url, schemes=schemes, example="redis://host:6379/0")


def _postgres(url: SecretStr) -> SecretStr:
    schemes = ("postgresql", "postgres", "postgresql+asyncpg")
    return _url(url, schemes=schemes, example="postgresql://user:password@host/database")


def _url(url: SecretStr, *, schemes: tuple[str, ...], example: str) -> SecretStr:
    # The address itself is never shown: it holds the password.
    scheme = urlsplit(url.get_secret_value()).scheme
    if scheme not in schemes:
        raise ValueError(f"begins with {scheme or 'no scheme'!r}: give an address such as {example}")
    return url


class Traces(enum.StrEnum):
    """Where spans go: nowhere, or to an OpenTelemetry collector."""

    NONE = "none"
    OTLP = "otlp"


class Environment(enum.StrEnum):
    """Where the process runs; production refuses what is only convenient."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """All settings of a process, frozen. ``load`` reads them and explains what is wrong."""

    model_config = SettingsConfigDict(
        env_prefix="BERRANTE_",
        env_nested_delimiter="_",
        # MESSAGE_RATE_MAX is message.rate_max, not message.rate.max.
        env_nested_max_split=1,
        # One variable of a queue leaves that queue's other defaults as they are.
        nested_model_default_partial_update=True,
        frozen=True,
        extra="ignore",
        populate_by_name=True,
        env_ignore_empty=True,
    )

    redis_url: Annotated[SecretStr, AfterValidator(_redis)] | None = Field(
        None,
        validation_alias="REDIS_URL",
        description="Redis ≥ 7 or Valkey ≥ 8: `redis://`, `rediss://`, `redis+sentinel://host,host/service/0` or "
        "`redis+cluster://host,host/cell`; without it an embedded Valkey is started.",
    )
    database_url: Annotated[SecretStr, AfterValidator(_postgres)] | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="PostgreSQL, `postgresql://`; without it an embedded PostgreSQL is started.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="Seals access tokens, app secrets and secrets of webhooks in the database: 32 bytes in base64, "
        "of `berrante encryption-key`; the same in all processes. Of several, with commas between, the first seals, "
        "all open. Without it an embedded database gets one in the data folder, and another stores no tokens.",
    )
    media_dir: Path | None = Field(
        None, description="Folder of files that came with messages or are to be sent; else `media` in the data folder."
    )
    env: Environment = Field(
        Environment.DEVELOPMENT,
        description="`production` demands `BERRANTE_SECRET_KEY`, and cookies that travel over https alone.",
    )
    secret_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs sessions of people, 32 characters or more; the same in all processes. Without it, in "
        "development, one is made and kept in the data folder.",
    )
    trusted_proxies: str = Field(
        "127.0.0.1",
        min_length=1,
        description="Proxies whose `X-Forwarded-For` is believed: addresses or networks with commas between; `*` all.",
    )
    requests_per_minute: int = Field(
        6_000, ge=0, description="API requests per minute and key, unless its organization has a quota; 0 is no limit."
    )
    data_dir: Path = Field(Path(".berrante"), description="Folder of the embedded engines' data.")
    host: str = Field("127.0.0.1", description="Address that the web side listens on.")
    port: int = Field(8_000, ge=0, le=65_535, description="Port that the web side listens on; 0 is any free one.")
    log_level: LogLevel = Field(LogLevel.INFO, description="What is logged: this level and worse.")
    log_format: LogFormat = Field(
        LogFormat.CONSOLE, description="`console` (in colour on a terminal) or `json` (one object a line)."
    )
    traces: Traces = Field(
        Traces.NONE,
        description="`otlp` sends traces to an OpenTelemetry collector, with the extra `berrante[otel]`; the standard "
        "`OTEL_…` variables say where it is and how much is sampled.",
    )
    queue_prefix: str = Field(
        "bull",
        pattern=r"^[A-Za-z0-9_.{}-]{1,60}$",
        description="First part of every queue's keys in Redis; `bull` is BullMQ's own default.",
    )
    stop_deadline_ms: int = Field(
        6_000,
        ge=0,
        le=600_000,
        description="Milliseconds that running jobs get to end at a stop; the rest goes back to its queue uncharged.",
    )
    database_pool: int = Field(10, ge=1, le=500, description="Connections to PostgreSQL that a process keeps open.")
    health_timeout_ms: int = Field(
        2_000, ge=10, le=60_000, description="Milliseconds after which `/health` reports a silent engine as down."
    )
    health_host: str = Field("127.0.0.1", description="Address that the port of its own for health listens on.")
    health_port: int = Field(
        0,
        ge=0,
        le=65_535,
        description="Port on which any process serves `/health` and `/metrics` alone; 0 is none. Keep it private.",
    )
    metrics_token: SecretStr | None = Field(
        None, min_length=16, description="What `/metrics` asks for; without it, `/metrics` is on the health port alone."
    )
    keep_messages_days: int = Field(
        0, ge=0, le=36_500, description="Days that messages are kept in the database; 0 keeps them for ever."
    )
    keep_uploads_days: int = Field(
        30, ge=1, le=36_500, description="Days that an uploaded file is kept which no message and no campaign names."
    )

    message: QueueSettings = QueueSettings(concurrency=5, rate_max=10, rate_duration_ms=1_000)
    automation: QueueSettings = QueueSettings(concurrency=5, rate_max=20, rate_duration_ms=1_000)
    campaign: QueueSettings = QueueSettings(
        concurrency=3,
        rate_max=100,
        rate_duration_ms=60_000,
        keep_completed_age_s=48 * HOUR_S,
        keep_completed_count=100,
        keep_failed_count=200,
    )
    outbound: QueueSettings = QueueSettings(concurrency=50)
    webhook: QueueSettings = QueueSettings(concurrency=50)
    maintenance: QueueSettings = QueueSettings(concurrency=1, keep_completed_count=100, keep_failed_count=200)

    webhooks: WebhooksSettings = WebhooksSettings()
    owner: OwnerSettings = OwnerSettings()
    demo: DemoSettings = DemoSettings()
    baileys: BaileysSettings = BaileysSettings()
    board: BoardSettings = BoardSettings()
    s3: S3Settings = S3Settings()

    @model_validator(mode="after")
    def _has_a_prefix_for_its_cell(self) -> Self:
        parsed = urlsplit(self.redis_url.get_secret_value() if self.redis_url else "")
        tag = f"{{{parsed.path.strip('/') or 'berrante'}}}"
        if parsed.scheme in _CLUSTER and tag not in self.queue_prefix:
            raise ValueError(
                f"BERRANTE_QUEUE_PREFIX is {self.queue_prefix!r}: on a cluster all keys of a cell need one slot, "
                f"so give BERRANTE_QUEUE_PREFIX={tag}, and Node's queues the same prefix"
            )
        return self

    @model_validator(mode="after")
    def _is_fit_for_production(self) -> Self:
        key = self.secret_key.get_secret_value() if self.secret_key else ""
        if self.env is Environment.PRODUCTION and (not key or key.startswith(DEVELOPMENT_KEY)):
            problem = "is the one of a development machine" if key else "is missing"
            raise ValueError(
                f"BERRANTE_SECRET_KEY {problem}, and BERRANTE_ENV is production: "
                'give one of your own, for instance of: python -c "import secrets; print(secrets.token_urlsafe(48))"'
            )
        return self

    def queue(self, name: str) -> QueueSettings:
        """Return the settings of a worked queue by its name; ``KeyError`` if nobody works on it."""
        return {
            "message": self.message,
            "automation": self.automation,
            "campaign": self.campaign,
            "outbound": self.outbound,
            "webhook": self.webhook,
            "maintenance": self.maintenance,
        }[name]
