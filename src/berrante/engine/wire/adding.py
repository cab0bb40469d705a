"""Calls that put jobs into a queue."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from berrante.engine.options import JobOptions
from berrante.engine.wire.codec import Json, encode, pack, write_options
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended, official

STANDARD: Final = "addStandardJob-9"
PRIORITIZED: Final = "addPrioritizedJob-9"
DELAYED: Final = "addDelayedJob-6"


def add(keys: QueueKeys, *, name: str, data: Json, options: JobOptions, now_ms: int) -> Call:
    """Add one job; the reply is its id, also when a job of that id is already there.

    A job with a delay goes to ``delayed``, one with a priority to ``prioritized``, any other to ``wait``.
    """
    args: list[Argument] = [
        pack((keys.base, options.job_id or "", name, now_ms, None, None, None, None, None)),
        encode(data),
        pack(write_options(options)),
    ]
    if options.delay_ms:
        marker = [keys.marker, keys.meta, keys.id, keys.delayed, keys.completed, keys.events]
        return Call(official(DELAYED), marker, args)
    if options.priority:
        return Call(official(PRIORITIZED), prioritized_keys(keys), args)
    return Call(official(STANDARD), standard_keys(keys), args)


def add_many(keys: QueueKeys, jobs: Sequence[tuple[str, Json, JobOptions]], *, now_ms: int) -> Call:
    """Add jobs (name, data, options) in order, in one step; the reply lists their ids.

    The options of ``JobOptions`` are all covered here; what needs BullMQ's own scripts has calls of its own.
    """
    args: list[Argument] = [keys.base, now_ms]
    for name, data, options in jobs:
        args += (
            options.job_id or "",
            name,
            encode(data),
            _wire_options(options),
            options.delay_ms,
            options.priority,
            "1" if options.lifo else "",
        )
    return Call(extended("add"), _many_keys(keys), args)


@lru_cache(maxsize=512)
def _wire_options(options: JobOptions) -> bytes:
    return encode(write_options(options))


@lru_cache(maxsize=64)
def _many_keys(keys: QueueKeys) -> tuple[str, ...]:
    return (
        keys.wait, keys.paused, keys.meta, keys.id, keys.completed, keys.delayed, keys.active, keys.events,
        keys.marker, keys.prioritized, keys.pc,
    )  # fmt: skip


def standard_keys(keys: QueueKeys) -> list[str]:
    """Return the keys of ``addStandardJob``."""
    return [
        keys.wait,
        keys.paused,
        keys.meta,
        keys.id,
        keys.completed,
        keys.delayed,
        keys.active,
        keys.events,
        keys.marker,
    ]


def prioritized_keys(keys: QueueKeys) -> list[str]:
    """Return the keys of ``addPrioritizedJob``."""
    return [
        keys.marker,
        keys.meta,
        keys.id,
        keys.prioritized,
        keys.delayed,
        keys.completed,
        keys.active,
        keys.events,
        keys.pc,
    ]
