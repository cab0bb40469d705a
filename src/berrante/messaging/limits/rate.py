"""A rate with a burst for each name, the same in all processes (GCRA)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from redis.asyncio import Redis

_SCRIPT: Final = (Path(__file__).parent / "gcra.lua").read_text()
_MINUTE_US: Final = 60_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Admission:
    """Whether one more may come; ``remaining`` may follow at once, and after ``reset_us`` all of ``limit`` may."""

    admitted: bool
    limit: int
    remaining: int
    retry_us: int
    reset_us: int

    @property
    def headers(self) -> dict[str, str]:
        """``X-RateLimit-*``, and ``Retry-After`` if it was not admitted; in seconds, rounded up."""
        shown = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(-(-self.reset_us // 1_000_000)),
        }
        return shown if self.admitted else {**shown, "Retry-After": str(max(1, -(-self.retry_us // 1_000_000)))}


class RateLimiter:
    """Admits so many per minute and name; a minute's worth may come at once."""

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._prefix = f"berrante:{prefix}:rate"

    async def admit(self, name: str, *, per_minute: int) -> Admission:
        """Count one more; raises what Redis raises when it is away."""
        answer = await self._script(keys=[f"{self._prefix}:{name}"], args=[_MINUTE_US / per_minute, per_minute])
        admitted, remaining, retry_us, reset_us = (int(part) for part in answer)
        return Admission(
            admitted=admitted == 1, limit=per_minute, remaining=remaining, retry_us=retry_us, reset_us=reset_us
        )
