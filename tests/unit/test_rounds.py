"""Rounds: questions that come at once are answered together, and each for itself."""

import asyncio
from collections.abc import Sequence

import pytest

from berrante.messaging.outbound.rounds import Rounds
from tests.waiting import until


class Oracle:
    """Doubles numbers; those that are not positive have no answer, and none has while it is away."""

    def __init__(self) -> None:
        self.rounds: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()
        self.is_away = False
        self.unwanted: list[int] = []

    async def answer_all(self, asked: Sequence[int]) -> list[int | Exception]:
        self.rounds.append(list(asked))
        await self.open.wait()
        if self.is_away:
            raise ConnectionError("away")
        if 666 in asked:
            raise ValueError("666")
        return [number * 2 if number > 0 else LookupError(str(number)) for number in asked]

    async def forget(self, answer: int) -> None:
        self.unwanted.append(answer)

    def opened(self) -> Rounds[int, int]:
        return Rounds(
            self.answer_all,
            is_everybodys=lambda error: isinstance(error, ConnectionError),
            unwanted=self.forget,
        )


async def test_questions_of_one_moment_are_one_round_and_those_that_come_meanwhile_the_next() -> None:
    oracle = Oracle()
    rounds = oracle.opened()
    oracle.open.clear()
    first = [asyncio.create_task(rounds.answer(number)) for number in (1, 2, 3)]
    await until(lambda: oracle.rounds)
    second = [asyncio.create_task(rounds.answer(4))]
    await until(lambda: len(oracle.rounds) == 2)
    third = [asyncio.create_task(rounds.answer(number)) for number in range(5, 150)]
    await asyncio.sleep(0)
    oracle.open.set()
    assert await asyncio.gather(*first, *second, *third) == [number * 2 for number in range(1, 150)]
    # Two at once, and the third when one of them is over: no more than a hundred of those that waited.
    assert oracle.rounds == [[1, 2, 3], [4], list(range(5, 105)), list(range(105, 150))]


async def test_what_has_no_answer_takes_no_other_with_it() -> None:
    oracle = Oracle()
    rounds = oracle.opened()
    answers = await asyncio.gather(*(rounds.answer(number) for number in (1, -1, 666, 4)), return_exceptions=True)
    assert [answers[0], answers[3]] == [2, 8]
    assert [repr(each) for each in answers[1:3]] == ["LookupError('-1')", "ValueError('666')"]
    assert oracle.rounds == [[1, -1, 666, 4], [1], [-1], [666], [4]]


async def test_what_is_everybodys_is_raised_by_all_at_once() -> None:
    oracle = Oracle()
    oracle.is_away = True
    rounds = oracle.opened()
    answers = await asyncio.gather(*(rounds.answer(number) for number in (1, 2)), return_exceptions=True)
    assert [type(each) for each in answers] == [ConnectionError, ConnectionError]
    assert oracle.rounds == [[1, 2]]
    oracle.is_away = False
    assert await rounds.answer(3) == 6


async def test_who_is_cancelled_before_its_round_is_not_asked_about_and_later_its_answer_is_unwanted() -> None:
    oracle = Oracle()
    rounds = oracle.opened()
    oracle.open.clear()
    asked = asyncio.create_task(rounds.answer(1))
    await until(lambda: oracle.rounds)
    other = asyncio.create_task(rounds.answer(2))
    await until(lambda: len(oracle.rounds) == 2)
    waiting, stays = asyncio.create_task(rounds.answer(3)), asyncio.create_task(rounds.answer(4))
    await asyncio.sleep(0)
    for each in (asked, waiting):
        each.cancel()
    await asyncio.wait([asked, waiting])
    oracle.open.set()
    assert await asyncio.gather(other, stays) == [4, 8]
    assert oracle.rounds == [[1], [2], [4]]
    await until(lambda: oracle.unwanted == [2])
    with pytest.raises(asyncio.CancelledError):
        asked.result()
