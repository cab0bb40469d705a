"""Calls that put jobs into a queue."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from typing import Final

from berrante.engine.options import JobOptions
from berrante.engine.wire.codec import Json, encode, pack, write_options
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended, official

STANDARD: Final = "addStandardJob-9"
PRIORITIZED: Final = "addPrioritizedJob-9"
DELAYED: Final = "addDelayedJob-6"

NamedJob = tuple[str, Json, JobOptions]


def add(keys: QueueKeys, *, name: str, data: Json, options: JobOptions, now_ms: int) -> Call:
    """Add one job; the reply is its id, or the id of the job that is already there in its place.

    A job with a delay goes to ``delayed``, one of a group to its group, one with a priority to ``prioritized``, any
    other to ``wait``. Of a group with deduplication BullMQ's script knows nothing: a worker's next turn files it.
    """
    if options.group is not None and not options.deduplication:
        return add_many(keys, [(name, data, options)], now_ms=now_ms)
    unique = options.deduplication
    unique_key = keys.state(f"de:{unique.id}") if unique else None
    head = (keys.base, options.job_id or "", name, now_ms, None, None, None, None, unique_key)
    return by_state(keys, options, [pack(head), encode(data), pack(write_options(options))])


def by_state(keys: QueueKeys, options: JobOptions, args: list[Argument]) -> Call:
    """Say a job that waits for no children to the script for the state that it begins in."""
    if options.delay_ms:
        marker = [keys.marker, keys.meta, keys.id, keys.delayed, keys.completed, keys.events]
        return Call(official(DELAYED), marker, args)
    if options.priority:
        return Call(official(PRIORITIZED), prioritized_keys(keys), args)
    return Call(official(STANDARD), standard_keys(keys), args)


def add_in_order(keys: QueueKeys, jobs: Sequence[NamedJob], *, now_ms: int) -> list[Call]:
    """Add jobs in order: in one call, or, if some have deduplication, in several that are to be made together.

    Chooses between ``add_many`` and BullMQ's own scripts. The reply of a call is an id, or a list of them.
    """
    if not any([options.deduplication for _, _, options in jobs]):  # noqa: C419  a generator takes thrice as long
        return [add_many(keys, jobs, now_ms=now_ms)]
    calls: list[Call] = []
    for covered, run in groupby(jobs, key=lambda job: job[2].deduplication is None):
        if covered:
            calls.append(add_many(keys, list(run), now_ms=now_ms))
        else:
            calls += [add(keys, name=name, data=data, options=options, now_ms=now_ms) for name, data, options in run]
    return calls


def add_many(keys: QueueKeys, jobs: Sequence[NamedJob], *, now_ms: int) -> Call:
    """Add jobs without deduplication, in order, in one step; the reply lists their ids."""
    args: list[Argument] = [keys.base, now_ms]
    said: tuple[Argument, ...] = ()
    before: JobOptions | None = None
    for name, data, options in jobs:
        if options is not before:  # mostly all are the same, and to say them anew costs twice the rest
            before = options
            said = _say(options)
        args += (options.job_id or "", name, encode(data), *said)
    return Call(extended("add"), _many_keys(keys), args)


def _say(options: JobOptions) -> tuple[Argument, ...]:
    how = "1" if options.lifo else ""
    if options.group is not None:
        how = ("G" if options.lifo else "g") + options.group
    return encode(write_options(options)), options.delay_ms, options.priority, how


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
