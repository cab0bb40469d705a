"""UUIDv7: order, shape and what happens when the clock does not help."""

import os
from uuid import RFC_4122

from hypothesis import given
from hypothesis import strategies as st

from berrante.store import IdMaker, new_id


@given(st.lists(st.integers(min_value=0, max_value=2**47), min_size=1, max_size=50), st.integers(0, 2**32))
def test_ids_strictly_increase_whatever_the_clock_does(times: list[int], seed: int) -> None:
    clock = iter(times)
    ids = IdMaker(now_ms=lambda: next(clock), random_bits=lambda bits: seed % 2**bits)

    made = [ids() for _ in times]

    assert made == sorted(set(made))


@given(st.integers(min_value=0, max_value=2**48 - 2), st.integers(0, 2**41 - 1))
def test_an_id_holds_its_millisecond_version_and_variant(now: int, seed: int) -> None:
    made = IdMaker(now_ms=lambda: now, random_bits=lambda bits: seed % 2**bits)()

    assert made.int >> 80 == now
    assert (made.version, made.variant) == (7, RFC_4122)


def test_a_full_counter_borrows_from_the_next_millisecond() -> None:
    ids = IdMaker(now_ms=lambda: 1_000, random_bits=lambda bits: 2**bits - 1)
    ids._ms, ids._counter = 1_000, 2**42 - 1

    assert ids().int >> 80 == 1_001


def test_ids_of_a_process_differ() -> None:
    made = [new_id() for _ in range(10_000)]

    assert len(set(made)) == 10_000
    assert made == sorted(made)


def test_a_forked_process_makes_other_ids() -> None:
    ids = IdMaker(now_ms=lambda: 1_000)
    ids()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:  # the child: the same counter in the same millisecond, so that only the random bits tell them apart
        os.write(writing, ids().bytes)
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 16)
    os.close(reading)
    os.close(writing)

    assert ids().bytes != theirs
