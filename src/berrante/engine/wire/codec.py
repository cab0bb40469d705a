"""JSON, MessagePack and BullMQ's short option names: the only place where camelCase lives."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import msgspec

from berrante.engine.errors import InvalidPayload
from berrante.engine.options import Deduplication, JobOptions
from berrante.engine.policy.backoff import Backoff
from berrante.engine.policy.retention import Retention

Json = Any  # what msgspec reads from JSON: None, bool, int, float, str, list or dict

_encoder: Final = msgspec.json.Encoder()
_packer: Final = msgspec.msgpack.Encoder()
encode: Final = _encoder.encode
decode: Final = msgspec.json.Decoder().decode
pack: Final = _packer.encode


class _Backoff(msgspec.Struct):
    type: str = "fixed"
    delay: float = 0
    jitter: float = 0


class _Keep(msgspec.Struct):
    age: float | None = None
    count: int | None = None


class _Deduplication(msgspec.Struct, rename="camel"):
    id: str = ""
    ttl: float | None = None
    extend: bool = False
    replace: bool = False
    keep_last_if_active: bool = False


class _Group(msgspec.Struct):
    id: str | int | float = ""


class _Options(msgspec.Struct, rename="camel"):
    attempts: int = 1
    backoff: _Backoff | float | None = None
    delay: float = 0
    priority: int = 0
    job_id: str | None = None
    lifo: bool = False
    remove_on_complete: _Keep | bool | int | None = None
    remove_on_fail: _Keep | bool | int | None = None
    kl: int | None = None
    stack_trace_limit: int | None = None
    de: _Deduplication | None = None
    group: _Group | None = None
    letter: str | None = None  # ours: BullMQ keeps options that it does not know


_options: Final = msgspec.json.Decoder(_Options, strict=False)


def read_json(raw: bytes | None, *, job_id: str, field: str) -> Json:
    """Decode a job's JSON field; raises ``InvalidPayload`` that names it."""
    if raw is None:
        return None
    try:
        return decode(raw)
    except msgspec.DecodeError as error:
        raise InvalidPayload(job_id, field=field, reason=str(error)) from error


@lru_cache(maxsize=512)
def _read_options(raw: bytes) -> JobOptions:
    wire = _options.decode(raw)
    return JobOptions(
        attempts=max(1, wire.attempts),  # Node writes 0 when nothing was said
        backoff=_backoff(wire.backoff),
        delay_ms=max(0, int(wire.delay)),
        priority=wire.priority,
        lifo=wire.lifo,
        keep_completed=_retention(wire.remove_on_complete),
        keep_failed=_retention(wire.remove_on_fail),
        keep_logs=wire.kl,
        stack_trace_limit=wire.stack_trace_limit,
        deduplication=_deduplication(wire.de),
        group=str(wire.group.id) or None if wire.group else None,
        letter=wire.letter,
    )


def read_options(raw: bytes | None, *, job_id: str) -> JobOptions:
    """Decode a job's options; ``job_id`` is left out, since it stands in the key. Raises ``InvalidPayload``.

    Without their id the jobs of a queue mostly have the same options, and those are decoded once.
    """
    try:
        return _read_options(raw.replace(b'"jobId":"%s"' % job_id.encode(), b'"jobId":""') if raw else b"{}")
    except (msgspec.DecodeError, ValueError) as error:
        raise InvalidPayload(job_id, field="opts", reason=str(error)) from error


def _backoff(wire: _Backoff | float | None) -> Backoff | None:
    if not wire:
        return None
    if isinstance(wire, int | float):  # Node: a bare number is a fixed delay
        return Backoff.fixed(int(wire))
    if wire.type not in {"fixed", "exponential"}:
        raise ValueError(
            f"backoff type {wire.type!r} is a custom strategy of another worker; use 'fixed' or 'exponential'"
        )
    return Backoff(
        type="fixed" if wire.type == "fixed" else "exponential", delay_ms=int(wire.delay), jitter=wire.jitter or 0
    )


def _retention(wire: _Keep | bool | int | None) -> Retention | None:
    if wire is None:
        return None
    if wire is True:
        return Retention.nothing()
    if wire is False:
        return Retention.everything()
    if isinstance(wire, int):
        return Retention(count=wire) if wire >= 0 else Retention.everything()
    return Retention(age_s=None if wire.age is None else int(wire.age), count=wire.count)


def _deduplication(wire: _Deduplication | None) -> Deduplication | None:
    if wire is None or not wire.id:
        return None
    ttl_ms = int(wire.ttl or 0) or None
    return Deduplication(
        id=wire.id,
        ttl_ms=ttl_ms,
        extend=wire.extend and ttl_ms is not None,  # Node lets it be said of nothing, and it then means nothing
        replace=wire.replace,
        keep_last_if_active=wire.keep_last_if_active,
    )


def write_options(options: JobOptions) -> dict[str, Json]:
    """Return the options as BullMQ stores them: nothing that was not said, but always ``attempts``."""
    wire: dict[str, Json] = {"attempts": options.attempts}
    if options.backoff:
        wire["backoff"] = {"type": options.backoff.type, "delay": options.backoff.delay_ms}
        if options.backoff.jitter:
            wire["backoff"]["jitter"] = options.backoff.jitter
    if options.delay_ms:
        wire["delay"] = options.delay_ms
    if options.priority:
        wire["priority"] = options.priority
    if options.job_id:
        wire["jobId"] = options.job_id
    if options.lifo:
        wire["lifo"] = True
    if options.keep_completed is not None:
        wire["removeOnComplete"] = _keep(options.keep_completed)
    if options.keep_failed is not None:
        wire["removeOnFail"] = _keep(options.keep_failed)
    if options.keep_logs is not None:
        wire["kl"] = options.keep_logs
    if options.stack_trace_limit is not None:
        wire["stackTraceLimit"] = options.stack_trace_limit
    if options.deduplication:
        wire["de"] = _write_deduplication(options.deduplication)
    return wire | _write_rest(options)


def _write_rest(options: JobOptions) -> dict[str, Json]:
    """Write what BullMQ itself makes nothing of."""
    wire: dict[str, Json] = {} if options.trace_context is None else {"tm": options.trace_context}
    if options.group is not None:
        wire["group"] = {"id": options.group}  # where BullMQ Pro keeps it
    if options.letter:
        wire["letter"] = options.letter
    return wire | {"omc": True} if options.omit_trace_context else wire


def _write_deduplication(deduplication: Deduplication) -> dict[str, Json]:
    wire: dict[str, Json] = {"id": deduplication.id}
    if deduplication.ttl_ms is not None:
        wire["ttl"] = deduplication.ttl_ms
    for name, said in (
        ("extend", deduplication.extend),
        ("replace", deduplication.replace),
        ("keepLastIfActive", deduplication.keep_last_if_active),
    ):
        if said:
            wire[name] = True
    return wire


def _keep(retention: Retention) -> Json:
    if retention.count == 0:
        return True
    if retention == Retention.everything():
        return False
    return keep_jobs(retention)


def keep_jobs(retention: Retention) -> dict[str, int]:
    """Return retention as ``moveToFinished`` takes it."""
    kept: dict[str, int] = {}
    if retention.age_s is not None:
        kept["age"] = retention.age_s
    if retention.count is not None:
        kept["count"] = retention.count
    return kept or {"count": -1}


def fields(flat: list[bytes]) -> dict[bytes, bytes]:
    """Turn the flat reply of ``HGETALL`` inside a script into a mapping."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def integer(hash_: Mapping[bytes, bytes], name: bytes, default: int = 0) -> int:
    """Read an integer field; JavaScript may have written ``12.0`` or ``1e3``."""
    raw = hash_.get(name)
    if raw is None:
        return default
    try:
        return int(raw)
    except ValueError:
        return int(float(raw))


def read_options_of(wire: Json, *, job_id: str) -> JobOptions:
    """Read options from their decoded JSON, as a dead letter keeps them. Raises ``InvalidPayload``."""
    return read_options(encode(wire), job_id=job_id)
