"""How the groups of queues stand, in one round trip and in bounded space, however many they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any, Final, cast

import msgspec

from berrante.engine.queue import Queue

#: Groups of a queue that are looked at one by one; of more, the longest may be among the others.
_LOOKED_AT: Final = 2_000
LONGEST: Final = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class GroupCensus:
    """Groups of one queue that have jobs, and those jobs.

    ``ring`` groups may run now, ``later`` ones when their time comes; ``out`` ones are paused, at their concurrency, or
    have nothing but active runs. ``longest`` has up to ten groups with the most waiting jobs.
    """

    ring: int
    later: int
    out: int
    waiting: int
    active: int
    longest: Mapping[str, int]


async def group_censuses(queues: Sequence[Queue]) -> list[GroupCensus]:
    """Look at the groups of queues that share a connection."""
    if not queues:
        return []
    async with queues[0].connection.redis.pipeline(transaction=False) as pipeline:
        for queue in queues:
            at = queue.keys.state("groups:")
            pipeline.zcard(f"{at}ring")
            pipeline.zcard(f"{at}later")
            pipeline.hlen(f"{at}states")
            pipeline.get(f"{at}count")
            pipeline.hlen(f"{at}held")
            pipeline.hscan(f"{at}states", 0, count=_LOOKED_AT)
        answers: list[Any] = await pipeline.execute()
    width = len(answers) // len(queues)
    return [_census(answers[start : start + width]) for start in range(0, len(answers), width)]


def _census(answers: Sequence[Any]) -> GroupCensus:
    ring, later, known, count, held, (_, states) = answers
    lines = {group.decode(): _in_line(state) for group, state in cast("dict[bytes, bytes]", states).items()}
    longest = nlargest(LONGEST, lines, key=lambda group: lines[group])
    return GroupCensus(
        ring=ring,
        later=later,
        out=max(0, known - ring - later),
        waiting=int(count or 0),
        active=held,
        longest={group: lines[group] for group in longest if lines[group]},
    )


def _in_line(state: bytes) -> int:
    """Read how many jobs wait: the second part of a group's state, see ``lua/groups.lua``."""
    return int(cast("list[Any]", msgspec.msgpack.decode(state))[1])
