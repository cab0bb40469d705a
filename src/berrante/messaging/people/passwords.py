"""Passwords: argon2id hashes, and checks that take as long for nobody as for somebody."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from berrante.messaging.errors import Invalid
from berrante.messaging.fields import storable

SHORTEST: Final = 8
LONGEST: Final = 1_024
_AT_ONCE: Final = 4  # each check takes 64 MiB: a flood of log-ins waits instead of filling the memory


class Passwords:
    """Hashes and checks passwords with argon2id, a few at once."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher()
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """Return the hash of a new password; raises ``Invalid`` if it is too short or long."""
        if not SHORTEST <= len(password) <= LONGEST:
            raise Invalid(
                "password", f"has {len(password)} characters", remedy=f"give {SHORTEST} to {LONGEST} characters"
            )
        return await self._hashed(password)

    async def matches(self, hash_: str | None, password: str) -> bool:
        """Tell whether the password is the hash's; without a hash the answer is no, and takes as long."""
        if len(password) > LONGEST:
            return False
        if hash_ is None:
            if self._nobody is None:
                self._nobody = await self._hashed("nobody's password")
            await self._verified(self._nobody, password)
            return False
        return await self._verified(hash_, password)

    def is_outdated(self, hash_: str) -> bool:
        """Tell whether the hash was made with weaker parameters than today's."""
        return self._hasher.check_needs_rehash(hash_)

    async def _hashed(self, password: str) -> str:
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, storable(password))

    async def _verified(self, hash_: str, password: str) -> bool:
        async with self._slots:
            return await asyncio.to_thread(self._verify, hash_, storable(password))

    def _verify(self, hash_: str, password: str) -> bool:
        try:
            return self._hasher.verify(hash_, password)
        except (VerificationError, InvalidHashError):
            return False
