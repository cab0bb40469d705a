"""Counts failed log-ins in Redis, and locks out whoever guesses."""

import hashlib
from typing import Final

from redis.asyncio import Redis

from berrante.messaging.errors import LockedOut

WINDOW_S: Final = 15 * 60
#: Failures within a window: of one address for one account; of one address; for one account, from wherever.
PER_PAIR: Final = 5
PER_ADDRESS: Final = 50
PER_ACCOUNT: Final = 50


class LoginAttempts:
    """Admits attempts to log in; an attempt counts as failed until ``forgive`` says otherwise.

    Unknown accounts are counted like known ones, so being locked out tells nothing. Redis holds no e-mail address.
    """

    def __init__(self, redis: Redis, *, prefix: str) -> None:
        self._redis = redis
        self._prefix = f"berrante:{prefix}:login"

    async def admit(self, *, email: str, address: str) -> None:
        """Count an attempt; raises ``LockedOut`` if there were too many.

        It is counted before the password is looked at: a hundred attempts at once are no way around.
        """
        keys = self._keys(email, address)
        async with self._redis.pipeline(transaction=True) as pipeline:
            for key in keys:
                pipeline.incr(key)
                pipeline.expire(key, WINDOW_S, nx=True)
                pipeline.ttl(key)
            answers = await pipeline.execute()
        waits = [
            int(answers[3 * index + 2])
            for index, most in enumerate((PER_PAIR, PER_ADDRESS, PER_ACCOUNT))
            if int(answers[3 * index]) > most
        ]
        if waits:
            raise LockedOut(retry_after_s=max(1, *waits))

    async def forgive(self, *, email: str, address: str) -> None:
        """Take back the attempt that turned out right, and forget the failures of this address for this account."""
        pair, *others = self._keys(email, address)
        async with self._redis.pipeline(transaction=True) as pipeline:
            pipeline.delete(pair)
            for key in others:
                pipeline.decr(key)
                pipeline.expire(key, WINDOW_S, nx=True)  # should it have expired in between
            await pipeline.execute()

    def _keys(self, email: str, address: str) -> tuple[str, str, str]:
        account = hashlib.sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return (
            f"{self._prefix}:pair:{address}:{account}",
            f"{self._prefix}:address:{address}",
            f"{self._prefix}:account:{account}",
        )
