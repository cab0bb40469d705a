"""Groups: tenants, numbers or whatever else takes turns and has limits of its own inside one queue.

A job of a group (``JobOptions.group``) waits in the group's line, by priority and then by age. The groups that may run
are served round robin, by weight; jobs without a group go first. All of it stands in Redis and holds for all workers.
"""

import enum
import math
from dataclasses import dataclass
from typing import Any, Final, cast

from berrante.engine.connection import Connection
from berrante.engine.job import Job
from berrante.engine.options import MAX_GROUP
from berrante.engine.policy.group_limits import GroupLimits
from berrante.engine.wire import grouping
from berrante.engine.wire.codec import fields
from berrante.engine.wire.keys import QueueKeys

_PART: Final = 1_000  # jobs per call
_KEYS: Final = (
    "states", "ring", "later", "served", "vtime", "held", "slots", "count", "limits", "default", "marker",
)  # fmt: skip

_Jobs = list[Job]
_Ids = list[str]


class Waits(enum.StrEnum):
    """Why the first job of a group is not running."""

    NOTHING = "nothing waits"
    TURN = "it waits for its turn"
    PAUSED = "the group is paused"
    CONCURRENCY = "the group has as many active jobs as it may"
    RATE = "the group's rate"
    REST = "the group rests by hand, as after a 429"


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupStats:
    """A group at one moment.

    ``waiting`` counts jobs by priority. ``active`` counts runs: a batch is one. ``next_ms`` is when the group may run
    next, in ms since the epoch, and None if time alone does not say. ``limits`` are those that hold.
    """

    waiting: dict[int, int]
    active: int
    next_ms: int | None
    why: Waits
    limits: GroupLimits


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a job stands in the line of its group: ``ahead`` jobs go before it as things are now.

    ``expected_ms`` is when it is expected to start by the group's rate alone; None if the group has none, is paused, or
    is at its concurrency.
    """

    group: str
    ahead: int
    expected_ms: int | None
    stats: GroupStats


@dataclass(frozen=True, kw_only=True, slots=True)
class Override:
    """What was set by hand for one group: limits of its own, or a pause."""

    limits: GroupLimits | None = None
    paused: bool = False


@dataclass(frozen=True, slots=True)
class Groups:
    """The groups of one queue, for operators and for whoever sets limits.

    Example::

        await queue.groups.set("number-7", GroupLimits(rate=GroupRate(max=1, duration_ms=30_000), jitter=0.2))
    """

    connection: Connection
    keys: QueueKeys

    async def set(self, group: str, limits: GroupLimits) -> None:
        """Give a group limits of its own, in the place of the workers' default, at once and until ``clear``."""
        await self._change(group, "set", grouping.write_limits(limits))

    async def get(self, group: str) -> GroupLimits | None:
        """Return the limits that a group has of its own, or None."""
        raw = cast("bytes | None", await self.connection.redis.hget(self.keys.state("groups:limits"), group))
        return grouping.read_set(raw or b"")[1]

    async def overrides(self) -> dict[str, Override]:
        """Return what was set by hand, for every group that has anything of its own."""
        found = cast("dict[bytes, bytes]", await self.connection.redis.hgetall(self.keys.state("groups:limits")))
        read = {name.decode(): grouping.read_set(raw) for name, raw in found.items()}
        return {name: Override(limits=limits, paused=paused) for name, (paused, limits) in read.items()}

    async def clear(self, group: str) -> bool:
        """Let the workers' default hold for a group again; False if it did already."""
        return await self._change(group, "clear")

    async def pause(self, group: str) -> bool:
        """Start no job of a group until ``resume``; active ones finish. False if it is paused already."""
        return await self._change(group, "pause")

    async def resume(self, group: str) -> bool:
        """Let a group run again; False if it is not paused."""
        return await self._change(group, "resume")

    async def rate_limit(self, group: str, rest_ms: int) -> None:
        """Start no job of a group for ``rest_ms``, as after a 429 from outside; a rest that lasts longer stands."""
        if rest_ms < 0:
            raise ValueError(f"rest_ms is {rest_ms}: give milliseconds, 0 or more")
        await self._change(group, "rest", rest_ms)

    async def wake(self, group: str, *, after_ms: int = 0) -> None:
        """End a rest of ``rate_limit``, at once or in ``after_ms``; its rate, its limits and a pause stay."""
        if after_ms < 0:
            raise ValueError(f"after_ms is {after_ms}: give milliseconds, 0 or more")
        await self._change(group, "wake", after_ms)

    async def stats(self, group: str) -> GroupStats:
        """Look at a group; one that nobody ever used has nothing waiting."""
        return (await self._look(group))[0]

    async def place(self, job_id: str) -> Place | None:
        """Tell where a job stands in its group's line; None if it does not wait in one."""
        raw = cast("bytes | None", await self.connection.redis.hget(self.keys.job(job_id), "gid"))
        if raw is None:
            return None
        stats, ahead = await self._look(raw.decode(), job_id)
        if ahead < 0:
            return None
        expected = None
        if stats.why in (Waits.TURN, Waits.RATE, Waits.REST) and stats.limits.rate:
            begin = stats.next_ms or self.connection.now_ms()
            expected = begin + round(ahead * stats.limits.rate.gap_ms)
        return Place(group=raw.decode(), ahead=ahead, expected_ms=expected, stats=stats)

    async def list(self, cursor: int = 0, *, count: int = 100) -> tuple[int, _Ids]:
        """Return about ``count`` groups that have waiting or active jobs, and the cursor of the next; 0 ends it.

        A group that is there all the time is returned at least once (Redis' ``HSCAN``).
        """
        following, states = cast(
            "tuple[int, dict[bytes, bytes]]",
            await self.connection.redis.hscan(self.keys.state("groups:states"), cursor, count=count),
        )
        return int(following), [name.decode() for name in states]

    async def jobs(self, group: str, *, start: int = 0, count: int = 50) -> _Jobs:
        """Return jobs that wait in a group, in the order of their turn."""
        return await self._jobs(group, start, count)

    async def waiting(self, *, start: int = 0, count: int = 50) -> _Jobs:
        """Return jobs that wait in any group, one group after the other."""
        return await self._jobs("", start, count)

    async def count(self) -> int:
        """Count the jobs that wait in all groups."""
        return int(await self.connection.redis.get(self.keys.state("groups:count")) or 0)

    async def remove(self, group: str) -> int:
        """Remove all jobs that wait in a group and return how many; active ones finish, limits stay."""
        return len(await self.clean(group))

    async def clean(self, group: str, *, before_ms: int | None = None, limit: int | None = None) -> _Ids:
        """Remove jobs that wait in a group and were added before a time, and return their ids."""
        removed: _Ids = []
        start = 0
        while limit is None or len(removed) < limit:
            count = _PART if limit is None else min(_PART, limit - len(removed))
            call = grouping.remove(
                self.keys, group, count=count, start=start, before_ms=before_ms, now_ms=self.connection.now_ms()
            )
            ids, seen = cast("tuple[list[bytes], int]", await self.connection.run(call))
            removed += [job_id.decode() for job_id in ids]
            start += seen - len(ids)
            if seen < count:
                break
        return removed

    async def clean_all(self, *, before_ms: int | None = None, limit: int | None = None) -> _Ids:
        """Do the same in all groups, up to ``limit`` jobs."""
        removed: _Ids = []
        cursor = 0
        while limit is None or len(removed) < limit:
            cursor, names = await self.list(cursor, count=_PART)
            for name in names:
                left = None if limit is None else limit - len(removed)
                removed += await self.clean(name, before_ms=before_ms, limit=left)
            if not cursor:
                break
        return removed

    async def forget(self) -> None:
        """Drop every limit, pause and pace; for a queue that is gone."""
        redis, base = self.connection.redis, self.keys.state("groups:")
        names = cast("list[bytes]", await redis.hkeys(f"{base}states"))
        await redis.delete(*(f"{base}jobs:{name.decode()}" for name in names), *(base + name for name in _KEYS))

    async def ring(self) -> None:
        """Wake an idle worker if a group may run."""
        if await self.connection.redis.exists(self.keys.state("groups:ring")):
            await self.connection.redis.zadd(self.keys.group_marker, {b"0": 0})

    async def _change(self, group: str, what: str, value: bytes | int = b"") -> bool:
        if not 1 <= len(group) <= MAX_GROUP:
            raise ValueError(f"group has {len(group)} characters: give 1 to {MAX_GROUP}")
        call = grouping.change(self.keys, group, what, value, now_ms=self.connection.now_ms())
        return bool(await self.connection.run(call))

    async def _jobs(self, group: str, start: int, count: int) -> _Jobs:
        flat: list[Any] = await self.connection.run(grouping.jobs(self.keys, group, start=start, count=count))
        return [
            Job(job_id.decode(), fields(hash_), connection=self.connection, keys=self.keys)
            for job_id, hash_ in zip(flat[::2], flat[1::2], strict=True)
        ]

    async def _look(self, group: str, job_id: str = "") -> tuple[GroupStats, int]:
        look = grouping.Look(*await self.connection.run(grouping.stats(self.keys, group, job_id)))
        paused, own = grouping.read_set(look.set)
        limits = own or grouping.read_limits(look.default) or GroupLimits()
        active, by_rate, by_hand = (float(number) for number in look.state)
        now = self.connection.now_ms()
        waiting = dict(zip(look.waiting[::2], look.waiting[1::2], strict=True))
        next_ms: int | None = None
        if not waiting:
            why = Waits.NOTHING
        elif paused:
            why = Waits.PAUSED
        elif limits.concurrency is not None and active >= limits.concurrency:
            why = Waits.CONCURRENCY
        else:
            next_ms = max(now, math.ceil(by_rate), math.ceil(by_hand))
            why = Waits.TURN if next_ms <= now else Waits.REST if by_hand > by_rate else Waits.RATE
        return GroupStats(waiting=waiting, active=int(active), next_ms=next_ms, why=why, limits=limits), look.place
