"""What stands in Redis under a prefix, in a form that two runs of one history can be compared by."""

import json
from collections.abc import Mapping
from typing import Any

from redis import Redis

Snapshot = dict[str, Any]
_JSON_FIELDS = (b"opts", b"stacktrace")


def snapshot(client: Redis, prefix: str) -> Snapshot:
    """Read every key: its value, and whether it expires. Stream ids are left out, for they are clocks."""
    keys: list[bytes] = sorted(client.scan_iter(f"{prefix}:*", count=1_000))
    with client.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.type(key)
            pipeline.pttl(key)
        said = pipeline.execute()
    return {
        key.decode().removeprefix(prefix): (_value(client, key, kind), lasts > 0)
        for key, kind, lasts in zip(keys, said[::2], said[1::2], strict=True)
    }


def _value(client: Redis, key: bytes, kind: bytes) -> object:
    match kind:
        case b"string":
            return client.get(key)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"hash":
            return job_hash(client.hgetall(key))
        case b"stream":
            return [fields for _, fields in client.xrange(key)]
        case other:
            raise AssertionError(f"{key!r} is a {other!r}: BullMQ has no such key")


def job_hash(raw: Mapping[bytes, bytes]) -> dict[bytes, object]:
    """Read a job's hash as readers do: cjson and ours order and space JSON differently."""
    return {name: json.loads(value) if name in _JSON_FIELDS else value for name, value in raw.items()}


def difference(official: Snapshot, ours: Snapshot) -> str:
    """Say where two snapshots differ, or nothing."""
    return "\n".join(
        f"{key}\n  official {official.get(key)!r}\n  ours     {ours.get(key)!r}"
        for key in sorted(official.keys() | ours.keys())
        if official.get(key) != ours.get(key)
    )
