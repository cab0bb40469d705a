"""What people do with dead letters: look, put back, discard; one, a group, or all."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from berrante.engine import DeadLetters
from berrante.engine.dead_letters import PutBack
from berrante.messaging.clock import Clock
from berrante.messaging.dead_letters.cause import Letter, read_letter
from berrante.messaging.dead_letters.groups import Groups
from berrante.messaging.dead_letters.selection import Selection
from berrante.messaging.errors import Missing, WrongState

#: Letters that one page looks at, at most: an organization may have few among many of others.
_LOOKED_AT: Final = 5_000
_BATCH: Final = 100

Progress = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterPage:
    """Letters, the newest first; ``next`` is the place of the page after it, None at the end.

    A page may hold fewer letters than asked for, even none, and still have a next one.
    """

    letters: list[Letter]
    next: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Triaged:
    """What an action on many letters did; ``passed_over`` letters cannot be read and can only be discarded."""

    done: int
    passed_over: int = 0


class Triage:
    """The dead letters of one cell. Everything is safe to repeat, to cut off, and to do twice at once."""

    def __init__(self, letters: DeadLetters, clock: Clock) -> None:
        self._letters = letters
        self._clock = clock

    async def list(self, selection: Selection, *, limit: int = 50, at: int | None = None) -> LetterPage:
        """Return the letters that are selected, newest first, from the place that a former page named."""
        found: list[Letter] = []
        looked_at = 0
        while looked_at < _LOOKED_AT:
            page = await self._letters.page(_BATCH, at=at)
            for job, rest in page.letters:
                letter = read_letter(job)
                if selection.holds(letter):
                    found.append(letter)
                    if len(found) == limit:
                        return LetterPage(letters=found, next=rest or None)
            looked_at += len(page.letters)
            at = page.next
            if not at:
                break
        return LetterPage(letters=found, next=at or None)

    async def get(self, letter_id: str, *, organization_id: str | None = None) -> Letter:
        """Return one letter, put back or not; raises ``Missing``."""
        job = await self._letters.get(letter_id)
        letter = read_letter(job) if job is not None else None
        if letter is None or not Selection(organization_id=organization_id).holds(letter):
            raise Missing("dead letter", letter_id)
        return letter

    async def groups(self, selection: Selection) -> Groups:
        """Count the selected letters by cause; reads all letters, a hundred at a time."""
        groups = Groups()
        async for letters in self._selected(selection):
            groups.add(letters)
        return groups

    async def retry(self, letter_id: str, *, organization_id: str | None = None) -> PutBack:
        """Put one job back; a letter that was put back before names the same job again.

        Raises ``Missing``, and ``WrongState`` for a letter that cannot be read.
        """
        letter = await self.get(letter_id, organization_id=organization_id)
        done = await self._letters.retry_many([letter_id])
        if done:
            return done[0]
        again = await self.get(letter_id, organization_id=organization_id)
        if again.retried_as is not None:
            return PutBack(letter_id=letter_id, queue=letter.cause.queue, job_id=again.retried_as)
        state = "not readable as a job" if not letter.readable else "being worked on"
        raise WrongState("dead letter", letter_id, state=state, needed="a job that failed for good")

    async def discard(self, letter_id: str, *, organization_id: str | None = None) -> None:
        """Remove one letter; raises ``Missing``, and ``WrongState`` for one that was put back."""
        letter = await self.get(letter_id, organization_id=organization_id)
        if not await self._letters.discard_many([letter_id]):
            state = f"put back as job {letter.retried_as!r}" if letter.retried_as else "being worked on"
            raise WrongState("dead letter", letter_id, state=state, needed="waiting for a decision")

    async def retry_all(self, selection: Selection, *, progress: Progress | None = None) -> Triaged:
        """Put all selected jobs back that failed before now; ``progress`` is told how many are done so far."""

        async def put_back(letters: Sequence[Letter]) -> int:
            return len(await self._letters.retry_many([letter.id for letter in letters if letter.readable]))

        return await self._drain(selection, put_back, progress)

    async def discard_all(self, selection: Selection, *, progress: Progress | None = None) -> Triaged:
        """Remove all selected letters of jobs that failed before now."""
        return await self._drain(
            selection, lambda letters: self._letters.discard_many([letter.id for letter in letters]), progress
        )

    async def _drain(
        self, selection: Selection, act: Callable[[Sequence[Letter]], Awaitable[int]], progress: Progress | None
    ) -> Triaged:
        selection = replace(selection, until_ms=min(selection.until_ms or self._clock(), self._clock()))
        done = 0
        while True:
            before, left = done, 0
            async for letters in self._selected(selection):
                acted = await act(letters)
                done += acted
                left += len(letters) - acted
                if progress:
                    progress(done)
            # Whoever takes out letters at the same time may move some past the place where we read: look once more.
            if done == before:
                return Triaged(done=done, passed_over=left)

    async def _selected(self, selection: Selection) -> AsyncIterator[Sequence[Letter]]:
        async for jobs in self._letters.scan():
            letters = [letter for letter in map(read_letter, jobs) if selection.holds(letter)]
            if letters:
                yield letters
