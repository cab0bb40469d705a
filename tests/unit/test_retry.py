from hypothesis import given
from hypothesis import strategies as st

from berrante.engine import Backoff
from berrante.engine.policy.retry import GiveUp, RetryAfter, decide


@given(attempt=st.integers(1, 20), attempts=st.integers(1, 20))
def test_a_job_runs_exactly_as_often_as_it_has_attempts(attempt: int, attempts: int) -> None:
    verdict = decide(attempt=attempt, attempts=attempts, backoff=None, retryable=True, chance=0)
    assert isinstance(verdict, RetryAfter) == (attempt < attempts)


def test_what_cannot_succeed_is_not_tried_again() -> None:
    verdict = decide(attempt=1, attempts=9, backoff=Backoff.fixed(1), retryable=False, chance=0)
    assert verdict == GiveUp("unrecoverable")


def test_without_backoff_a_retry_comes_at_once() -> None:
    assert decide(attempt=1, attempts=2, backoff=None, retryable=True, chance=0) == RetryAfter(0)
