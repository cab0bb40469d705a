"""Many callers' questions, answered together: while one round is under way, the next gathers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Final, Generic, TypeVar

Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

_MOST: Final = 100
#: One round waits for the database while another is being answered.
_AT_ONCE: Final = 2
_log: Final = logging.getLogger(__name__)


class Rounds(Generic[Ask, Answer]):
    """Answers questions many at a time, and nobody waits for company: a question that comes alone is a round of one.

    ``answer_all`` answers in the order of the questions; an exception in its place is raised by that caller alone. What
    it raises itself is raised by all, if ``is_everybodys`` says so; else each is asked about in a round of its own, so
    that one question that cannot be answered takes no other with it.

    ``unwanted`` is told of an answer whose caller was cancelled meanwhile.
    """

    def __init__(
        self,
        answer_all: Callable[[Sequence[Ask]], Awaitable[Sequence[Answer | Exception]]],
        *,
        is_everybodys: Callable[[Exception], bool],
        unwanted: Callable[[Answer], Awaitable[None]] | None = None,
    ) -> None:
        self._answer_all = answer_all
        self._is_everybodys = is_everybodys
        self._unwanted = unwanted
        self._waiting: list[tuple[Ask, asyncio.Future[Answer]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def answer(self, ask: Ask) -> Answer:
        """Return the answer, or raise what stands in its place."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((ask, answer))
        self._begin()
        return await answer

    def _begin(self) -> None:
        if self._waiting and len(self._running) < _AT_ONCE:
            # In no caller's context: what it logs and traces is not that of whoever happened to come first.
            task = asyncio.get_running_loop().create_task(self._round(), context=Context())
            self._running.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        # Those who were cancelled: at the end of the process nobody is left to begin for.
        self._waiting = [each for each in self._waiting if not each[1].done()]
        self._begin()

    async def _round(self) -> None:
        # Taken now and not when the task was made: whoever came in the same tick is in it too.
        taken, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
        self._begin()
        wanted = [each for each in taken if not each[1].done()]
        answers = await self._answers([ask for ask, _ in wanted])
        unwanted = []
        for (_, answer), found in zip(wanted, answers, strict=True):
            if answer.done():
                unwanted.append(found)
            elif isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)
        for found in unwanted:
            await self._take_back(found)

    async def _take_back(self, found: Answer | Exception) -> None:
        if self._unwanted is None or isinstance(found, Exception):
            return
        try:
            await self._unwanted(found)
        except Exception:  # noqa: BLE001  there is nobody to raise it to
            _log.exception("what was decided for a job that was cancelled meanwhile could not be taken back")

    async def _answers(self, asks: Sequence[Ask]) -> Sequence[Answer | Exception]:
        try:
            return await self._answer_all(asks) if asks else []
        except Exception as error:  # noqa: BLE001  it is the callers' answer
            if len(asks) == 1 or self._is_everybodys(error):
                return [error] * len(asks)
        return [answer for ask in asks for answer in await self._answers([ask])]
