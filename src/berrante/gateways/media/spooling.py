"""A file on its way into a store: not in memory, but on the disk, without a name, so that nothing of it is left."""

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import IO, Final

#: What is written and read at once.
_PIECE: Final = 1024 * 1024


class TooLong(Exception):
    """More bytes came than may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"the file has more than {most} bytes")
        self.most = most


@dataclass(frozen=True, kw_only=True, slots=True)
class Spooled:
    """A whole file: what it is, before any store has it."""

    sha256: str
    size: int
    file: IO[bytes]

    def copy_to(self, other: IO[bytes]) -> None:
        """Write all of it to another file; it blocks."""
        self.file.seek(0)
        shutil.copyfileobj(self.file, other, _PIECE)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Read it from its beginning; as often as wanted, but by one at a time."""
        self.file.seek(0)
        while piece := await asyncio.to_thread(self.file.read, _PIECE):
            yield piece


@asynccontextmanager
async def spooled(chunks: AsyncIterator[bytes], *, most: int) -> AsyncIterator[Spooled]:
    """Take in a file for the time of the block; raises ``TooLong`` as soon as it is, and what ``chunks`` raises."""
    digest = hashlib.sha256()
    size = 0
    with await asyncio.to_thread(tempfile.TemporaryFile) as file:
        waiting = bytearray()
        async for chunk in chunks:
            size += len(chunk)
            if size > most:
                raise TooLong(most)
            digest.update(chunk)
            waiting += chunk
            if len(waiting) >= _PIECE:
                await asyncio.to_thread(file.write, waiting)
                waiting = bytearray()
        await asyncio.to_thread(file.write, waiting)
        yield Spooled(sha256=digest.hexdigest(), size=size, file=file)
