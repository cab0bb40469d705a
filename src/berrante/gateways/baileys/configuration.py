"""What the sidecar is told as it starts: checked here, and read there as it is."""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from berrante.gateways.baileys.errors import SidecarMisconfigured

_KEY_BYTES: Final = 32
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(frozen=True, kw_only=True, slots=True)
class JobOptions:
    """How the jobs that the sidecar adds to the queue ``message`` are tried, and how long they are kept."""

    attempts: int = 4
    backoff_delay_ms: int = 2_000
    keep_completed_age_s: int = 86_400
    keep_completed_count: int = 500
    keep_failed_age_s: int = 604_800
    keep_failed_count: int = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Configuration:
    """One sidecar's: where it listens, what it reaches, what it seals with. Raises ``SidecarMisconfigured``.

    ``whatsapp_url``, ``whatsapp_root`` and ``die_at`` (the line on which it kills itself) are for tests, and need
    ``testing``.
    """

    redis_url: str
    database_url: str
    queue_prefix: str
    token: str
    key: str
    host: str = "127.0.0.1"
    port: int = 8_790
    capacity: int = 100
    lease_ms: int = 15_000
    ack_ms: int = 8_000
    silent_ms: int = 600_000
    backoff_ms: int = 1_000
    backoff_cap_ms: int = 120_000
    job: JobOptions = JobOptions()
    testing: bool = False
    whatsapp_url: str | None = None
    whatsapp_root: str | None = None
    die_at: str | None = None

    def __post_init__(self) -> None:
        if not _is_private(self.host):
            raise SidecarMisconfigured("HOST", f"is {self.host}", remedy="give a loopback or private address")
        if not _is_key(self.key):
            remedy = "make one with openssl rand -base64 32"
            raise SidecarMisconfigured("KEY", f"is not {_KEY_BYTES} bytes in base64", remedy=remedy)
        # TLS is all that proves the server: Baileys' own check of its certificate lets any signature pass.
        if self.whatsapp_url is not None and not _is_safe(self.whatsapp_url, testing=self.testing):
            raise SidecarMisconfigured("WA_URL", "is not wss", remedy="an open link is for tests on loopback")

    @property
    def url(self) -> str:
        """The address that it listens on, by which leases name it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    def environment(self) -> dict[str, str]:
        """Return the variables to start it with."""
        made = {"job", "testing", "redis_url"}
        given = {_camel(name): value for name, value in asdict(self).items() if name not in made} | {
            # Node's driver has its own idea of a URL's scheme.
            "databaseUrl": self.database_url.replace("postgresql+asyncpg:", "postgresql:"),
            "redis": _redis(self.redis_url),
            "owner": self.url,
            "job": {
                "attempts": self.job.attempts,
                "backoff": {"type": "exponential", "delay": self.job.backoff_delay_ms},
                "removeOnComplete": {"age": self.job.keep_completed_age_s, "count": self.job.keep_completed_count},
                "removeOnFail": {"age": self.job.keep_failed_age_s, "count": self.job.keep_failed_count},
            },
        }
        return {"BERRANTE_SIDECAR": json.dumps(given)}


def of_tests(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what only tests set, or nothing: ``SIDECAR_TEST=1`` and where the fake is."""
    if environment.get("SIDECAR_TEST") != "1":
        return {}
    names = {"whatsapp_url": "WA_URL", "whatsapp_root": "WA_ROOT", "die_at": "DIE_AT"}
    return {"testing": True} | {field: environment.get(f"SIDECAR_TEST_{name}") for field, name in names.items()}


def _is_private(host: str) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return False
    # ``is_private`` counts 0.0.0.0 in, which is every address.
    return address.is_private and not address.is_unspecified


def _is_key(text: str) -> bool:
    try:
        return len(base64.b64decode(text, validate=True)) == _KEY_BYTES
    except binascii.Error:
        return False


def _is_safe(url: str, *, testing: bool) -> bool:
    """Tell whether the link is encrypted, or does not leave this machine in a test.

    >>> _is_safe("wss://web.whatsapp.com/ws/chat", testing=False), _is_safe("ws://example.org/", testing=True)
    (True, False)
    """
    parts = urlsplit(url)
    return parts.scheme == "wss" or (parts.scheme == "ws" and testing and parts.hostname in _LOOPBACK)


def _redis(url: str) -> dict[str, Any]:
    """Return what Node's driver takes for the address, which has no URL for a socket.

    >>> _redis("unix:///run/valkey.sock")["path"]
    '/run/valkey.sock'
    """
    parts = urlsplit(url)
    place = {"path": unquote(parts.path)} if parts.scheme == "unix" else {"url": url}
    # Never give up on a Redis that is away: a command waits, and its journal entry with it.
    return place | {"maxRetriesPerRequest": None}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)
