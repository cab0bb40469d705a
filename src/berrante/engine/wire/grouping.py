"""Calls about groups: ``lua/group_*.lua``; what is decided there is described in ``lua/groups.lua``."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec

from berrante.engine.policy.group_limits import GroupLimits, GroupRate
from berrante.engine.wire.codec import pack
from berrante.engine.wire.keys import QueueKeys
from berrante.engine.wire.scripts import Argument, Call, extended, own


class _Limits(msgspec.Struct, omit_defaults=True):
    """Limits as they stand in Redis, each named in ``groups.lua``; the rate's own two numbers are for people."""

    c: int | None = None
    g: float = 0
    b: int = 1
    j: float = 0
    w: float = 1
    f: float = 0.1
    max: int = 0
    per: int = 0


class _Set(msgspec.Struct, omit_defaults=True):
    """What was set by hand for one group."""

    p: bool = False
    l: _Limits | None = None  # noqa: E741  groups.lua's name


_limits: Final = msgspec.msgpack.Decoder(_Limits, strict=False)
_set: Final = msgspec.msgpack.Decoder(_Set, strict=False)


@lru_cache(maxsize=256)
def limits_of(limits: GroupLimits) -> _Limits:
    """Return limits in the words of the scripts."""
    rate = limits.rate
    return _Limits(
        c=limits.concurrency,
        g=rate.gap_ms if rate else 0,
        b=rate.burst if rate else 1,
        j=limits.jitter,
        w=limits.weight,
        f=limits.floor,
        max=rate.max if rate else 0,
        per=rate.duration_ms if rate else 0,
    )


def write_limits(limits: GroupLimits) -> bytes:
    """Return limits as the scripts read them."""
    return pack(limits_of(limits))


def read_limits(raw: bytes) -> GroupLimits | None:
    """Read what ``write_limits`` wrote; None if there is nothing."""
    return _read(_limits.decode(raw)) if raw else None


def read_set(raw: bytes) -> tuple[bool, GroupLimits | None]:
    """Read what was set by hand for a group: whether it is paused, and its own limits."""
    if not raw:
        return False, None
    said = _set.decode(raw)
    return said.p, _read(said.l) if said.l else None


def _read(limits: _Limits) -> GroupLimits:
    rate = GroupRate(max=limits.max, duration_ms=limits.per, burst=limits.b) if limits.max else None
    return GroupLimits(concurrency=limits.c, rate=rate, jitter=limits.j, weight=limits.w, floor=limits.f)


def change(keys: QueueKeys, group: str, what: str, value: Argument = "", *, now_ms: int) -> Call:
    """``set`` or ``clear`` limits, ``pause``, ``resume``, ``rest`` for some ms, ``wake``; answers 1 if it changed."""
    return Call(extended("group_change"), [keys.meta], [keys.base, now_ms, group, what, value])


def release(keys: QueueKeys, ended: Sequence[tuple[str, str]], *, now_ms: int) -> Call:
    """Say that runs (job id, group) ended in BullMQ's own scripts; the reply counts those that were still held."""
    pairs = [word for pair in ended for word in pair]
    return Call(extended("group_release"), [keys.meta, keys.active], [keys.base, now_ms, "these", *pairs])


def sweep(keys: QueueKeys, *, stalled: Sequence[str | bytes] = (), now_ms: int) -> Call:
    """Free what jobs hold that are active no more, since somebody else ended them; the reply counts them.

    What ``stalled`` hold is freed when a turn files them, which by that knows that they go first.
    """
    return Call(extended("group_release"), [keys.meta, keys.active], [keys.base, now_ms, "lost", *stalled])


def lift(keys: QueueKeys, job_id: str, group: str, *, now_ms: int) -> Call:
    """Take a job out of its group's line; the reply is 0 if it did not wait there."""
    return Call(extended("group_lift"), [keys.meta, keys.job(job_id)], [keys.base, now_ms, job_id, group])


def reorder(keys: QueueKeys, job_id: str, group: str, *, priority: int, first: bool, now_ms: int) -> Call:
    """Give a job that waits in a group another priority; the reply is 0 if it does not wait there."""
    args: list[Argument] = [keys.base, now_ms, job_id, group, priority, "1" if first else ""]
    return Call(extended("group_lift"), [keys.meta, keys.job(job_id)], args)


def remove(
    keys: QueueKeys, group: str, *, count: int, start: int = 0, before_ms: int | None = None, now_ms: int
) -> Call:
    """Remove jobs that wait in a group; the reply is [ids removed, how many were looked at]."""
    args: list[Argument] = [keys.base, now_ms, group, count, start, "" if before_ms is None else before_ms]
    return Call(extended("group_remove"), [keys.meta, keys.events], args)


class Look(msgspec.Struct, frozen=True):
    """A group as ``stats`` saw it; ``waiting`` holds priorities and counts in turn."""

    state: tuple[bytes, bytes, bytes]
    waiting: list[int]
    set: bytes
    default: bytes
    place: int


def stats(keys: QueueKeys, group: str, job_id: str = "") -> Call:
    """Look at a group, and at a job's place in its line; the answer is read with ``Look(*answer)``."""
    return Call(own("group_stats"), [keys.meta], [keys.base, group, job_id])


def jobs(keys: QueueKeys, group: str = "", *, start: int, count: int) -> Call:
    """Read jobs that wait in a group, or in all: job id, flat hash, ..."""
    return Call(own("group_jobs"), [keys.meta], [keys.base, start, count, group])
