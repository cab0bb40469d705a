"""Whether a Redis or Valkey is fit to hold queues: a decision over what it says of itself in ``INFO``."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_OLDEST: Final = {"Redis": (7, 0), "Valkey": (8, 0)}
_FULL: Final = 0.8


class Weight(enum.Enum):
    """How bad something is: jobs would be lost or could not run, or they might be."""

    REFUSED = "refused"
    WARNED = "warned"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flaw:
    """Something that is not as it should be, and the remedy."""

    code: str
    weight: Weight
    text: str
    remedy: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """What a server says of itself; what it does not tell is None. Sizes are bytes."""

    kind: str
    version: str
    policy: str | None
    used_bytes: int | None
    most_bytes: int | None
    has_append_file: bool | None
    snapshot_at_s: int | None
    writes_well: bool
    evicted: int
    role: str | None
    clients: int | None


def server_of(info: Mapping[str, Any]) -> Server:
    """Read ``INFO``.

    >>> server_of({"redis_version": "7.2.4", "valkey_version": "9.1.2", "maxmemory_policy": "noeviction"}).kind
    'Valkey'
    """
    kind = "Valkey" if "valkey_version" in info else "Redis"
    append_file = info.get("aof_enabled")
    return Server(
        kind=kind,
        version=str(info.get("valkey_version") or info.get("redis_version") or "unknown"),
        policy=info.get("maxmemory_policy"),
        used_bytes=info.get("used_memory"),
        most_bytes=info.get("maxmemory") or None,
        has_append_file=None if append_file is None else bool(append_file),
        snapshot_at_s=info.get("rdb_last_save_time"),
        writes_well=all(
            info.get(name, "ok") == "ok"
            for name in ("aof_last_write_status", "aof_last_bgrewrite_status", "rdb_last_bgsave_status")
        ),
        evicted=int(info.get("evicted_keys") or 0),
        role=info.get("role"),
        clients=info.get("connected_clients"),
    )


def flaws(server: Server) -> list[Flaw]:
    """Return all that is wrong with a server, the worst first.

    >>> [flaw.code for flaw in flaws(server_of({"redis_version": "6.2.0", "maxmemory_policy": "allkeys-lru"}))]
    ['version', 'eviction_policy']
    """
    found: list[Flaw] = []

    def add(code: str, weight: Weight, text: str, remedy: str) -> None:
        found.append(Flaw(code=code, weight=weight, text=text, remedy=remedy))

    oldest = _OLDEST[server.kind]
    if (version := _numbers(server.version)) is not None and version < oldest:
        wanted = f"{server.kind} {oldest[0]} or newer"
        add("version", Weight.REFUSED, f"it is {server.kind} {server.version}", f"upgrade to {wanted}")
    if server.policy not in (None, "noeviction"):
        remedy = "run CONFIG SET maxmemory-policy noeviction and write it into the server's configuration"
        add("eviction_policy", Weight.REFUSED, f"its maxmemory-policy {server.policy!r} throws jobs away", remedy)
    if server.role in {"slave", "replica"}:
        add("replica", Weight.REFUSED, "it is a replica, which takes no writes", "give the address of the primary")
    if not server.writes_well:
        remedy = "look at its log and at the space on its disk: what it holds now may not survive a restart"
        add("persistence", Weight.WARNED, "its last write to disk failed", remedy)
    if server.has_append_file is False:
        remedy = "run CONFIG SET appendonly yes: until then the reconciler has to rebuild jobs after a restart"
        add("append_file", Weight.WARNED, "its append-only file is off", remedy)
    if server.evicted:
        remedy = "set maxmemory-policy noeviction, and let the reconciler add again what was lost"
        add("evicted", Weight.WARNED, f"it has thrown away {server.evicted} keys since its start", remedy)
    if server.most_bytes and server.used_bytes and server.used_bytes > _FULL * server.most_bytes:
        share = round(100 * server.used_bytes / server.most_bytes)
        remedy = "clean old jobs (berrante queues clean) or give it more memory: when full it refuses new jobs"
        add("memory", Weight.WARNED, f"{share} % of its memory is used", remedy)
    return found


def _numbers(version: str) -> tuple[int, int] | None:
    try:
        major, minor = version.split(".")[:2]
        return int(major), int(minor)
    except ValueError:
        return None
