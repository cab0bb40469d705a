"""The settings that stand together under one name: a queue's, the sidecar's, the demo's and others."""

import enum
import re
from typing import Annotated, Final, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

HOUR_S: Final = 3_600
_WEEK_S: Final = 7 * 24 * HOUR_S
_API_KEY: Final = re.compile(r"brt_live_[A-Za-z0-9_-]{16,200}")


def _api_key(key: SecretStr) -> SecretStr:
    if not _API_KEY.fullmatch(key.get_secret_value()):
        raise ValueError("is not of a key's form: give brt_live_ and 16 to 200 letters, digits, '-' or '_'")
    return key


class RateScope(enum.StrEnum):
    """Whom a queue's rate is for."""

    GROUP = "group"
    QUEUE = "queue"


class QueueSettings(BaseModel):
    """How one queue's worker works and how its jobs are run and kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    concurrency: int = Field(
        5,
        ge=1,
        le=10_000,
        description="Jobs that one worker process runs at once; in `message` batches of up to 100 jobs.",
    )
    rate_max: int = Field(
        0,
        ge=0,
        description="Jobs that may start per window, over all workers; 0 is no limit. See `rate_scope`.",
    )
    rate_duration_ms: int = Field(1_000, ge=1, description="Length of that window in milliseconds.")
    rate_scope: RateScope = Field(
        RateScope.GROUP,
        description="`group`: the rate is each number's own (in `webhook` each endpoint's); `queue`: all share it. "
        "In `campaign` it is always of messages, for each number of a campaign that names no pace.",
    )
    attempts: int = Field(4, ge=1, description="Runs of a job at most, the first included.")
    backoff_delay_ms: int = Field(
        2_000, ge=0, description="Wait before the first retry in milliseconds; it doubles with each."
    )
    backoff_jitter: float = Field(
        0.0, ge=0, le=1, description="Share of the wait that is drawn at random: 0 none, 1 all."
    )
    keep_completed_age_s: int = Field(24 * HOUR_S, ge=0, description="Seconds that completed jobs are kept.")
    keep_completed_count: int = Field(500, ge=0, description="Completed jobs that are kept at most.")
    keep_failed_age_s: int = Field(_WEEK_S, ge=0, description="Seconds that failed jobs are kept.")
    keep_failed_count: int = Field(500, ge=0, description="Failed jobs that are kept at most.")
    lock_ms: int = Field(
        30_000, ge=100, description="Milliseconds after which a silent worker's job may go to another."
    )
    stalled_interval_ms: int = Field(
        30_000, ge=100, description="Milliseconds between two searches for jobs of silent workers."
    )
    max_stalled: int = Field(1, ge=0, description="Times that a job may stall before it fails.")


class WebhooksSettings(BaseModel):
    """Webhooks that organizations' programs receive; how the queue ``webhook`` works is set as for all queues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_loopback: bool = Field(
        False, description="For development: outgoing webhooks may go to this machine, and by `http`."
    )


class OwnerSettings(BaseModel):
    """The platform's owner, made at the first start with ``--demo``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    email: str = Field("owner@berrante.local", min_length=3, description="The owner's e-mail address.")
    password: SecretStr | None = Field(
        None, min_length=8, description="The owner's password, 8 characters or more; without it one is made and shown."
    )


class DemoSettings(BaseModel):
    """The demo organization of ``up --demo``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_key: Annotated[SecretStr, AfterValidator(_api_key)] | None = Field(
        None,
        description="Its API key: `brt_live_` and 16 characters or more; without it one is made and shown.",
    )
    app_secret: SecretStr | None = Field(
        None, min_length=1, description="The Cloud API app secret that signs webhooks of instance `demo`; else made."
    )
    verify_token: SecretStr | None = Field(
        None, min_length=1, description="The Cloud API verify token of instance `demo`; else made."
    )
    contacts: int = Field(4, ge=0, le=1_000, description="Simulated contacts that write now and then.")
    chatter_ms: int = Field(4_000, ge=10, description="Mean milliseconds between two messages of theirs.")


class BaileysSettings(BaseModel):
    """The sidecar that holds numbers with Baileys."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    urls: str = Field(
        "",
        description="Addresses of the sidecars, with commas; without any, one at `BERRANTE_BAILEYS_HOST` and `_PORT`.",
    )
    token: SecretStr | None = Field(
        None, min_length=16, description="What the sidecars ask of callers; else made and kept in the data folder."
    )
    key: SecretStr | None = Field(
        None,
        description="32 bytes in base64 that seal accounts and messages in the database; with `DATABASE_URL` it is "
        "needed, else made and kept in the data folder.",
    )
    node: str = Field("", description="The Node to use; else that of the extra `baileys`, or the one on the path.")
    host: str = Field("127.0.0.1", description="Address that the sidecar listens on: loopback or private.")
    port: int = Field(8_790, ge=1, le=65_535, description="Port that the sidecar listens on.")
    capacity: int = Field(100, ge=1, le=1_000, description="Numbers that one sidecar holds at most.")
    lease_ms: int = Field(15_000, ge=1_000, description="Milliseconds after which a dead sidecar's numbers are free.")
    ack_ms: int = Field(
        8_000, ge=100, le=15_000, description="Milliseconds that WhatsApp gets to acknowledge a message."
    )
    silent_ms: int = Field(
        600_000, ge=100, description="Milliseconds without any receipt after a send until an alert is raised."
    )
    backoff_ms: int = Field(1_000, ge=10, description="Wait before the first reconnection; it doubles with each.")
    backoff_cap_ms: int = Field(120_000, ge=10, description="The longest wait before a reconnection.")


class S3Settings(BaseModel):
    """A bucket for files, in place of a folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bucket: str = Field(
        "",
        pattern=r"^([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])?$",
        description="Bucket of files that came with messages or are to be sent; without it they are in "
        "`BERRANTE_MEDIA_DIR`.",
    )
    access_key: str = Field("", pattern=r"^[!-~]{0,128}$", description="Key id that may list, read and write it.")
    secret_key: SecretStr | None = Field(None, min_length=1, description="The secret of that key.")
    region: str = Field("us-east-1", pattern=r"^[a-z0-9-]{1,40}$", description="The bucket's region.")
    endpoint: str = Field(
        "",
        pattern=r"^(https?://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/-]*)?)?$",
        description="Address of a service other than AWS', for instance `https://minio.example.com`.",
    )
    prefix: str = Field(
        "",
        pattern=r"^([A-Za-z0-9._-]+/)*$",
        description="What the names in the bucket begin with, such as `berrante/`.",
    )
    path_style: bool = Field(
        False, description="The bucket stands in the address's path and not in the host's name, as MinIO has it."
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        missing = [
            name
            for name, value in (("ACCESS_KEY", self.access_key), ("SECRET_KEY", self.secret_key))
            if self.bucket and not value
        ]
        if missing:
            names = " and ".join(f"BERRANTE_S3_{name}" for name in missing)
            raise ValueError(f"names a bucket without its key: give {names}")
        return self


class BoardSettings(BaseModel):
    """Bull Board at ``/admin/queues``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    read_only: bool = Field(False, description="Bull Board at `/admin/queues` shows everything and changes nothing.")
    environment: str | None = Field(
        None, max_length=30, description="A label at its top, such as `staging`; none if not given."
    )
