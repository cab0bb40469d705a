"""What becomes of a job whose run raised: another attempt, or the end."""

from dataclasses import dataclass

from berrante.engine.policy.backoff import Backoff, delay_ms


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Run the job again after ``delay_ms``; 0 means at once, behind those that wait."""

    delay_ms: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Fail the job for good; ``why`` is for logs and dead letters."""

    why: str


def decide(
    *, attempt: int, attempts: int, backoff: Backoff | None, retryable: bool, chance: float
) -> RetryAfter | GiveUp:
    """Retry or give up on a job whose ``attempt``-th run (1-based) raised.

    >>> decide(attempt=1, attempts=4, backoff=Backoff.exponential(2_000), retryable=True, chance=0)
    RetryAfter(delay_ms=2000)
    >>> decide(attempt=4, attempts=4, backoff=None, retryable=True, chance=0)
    GiveUp(why='attempts exhausted')
    """
    if not retryable:
        return GiveUp("unrecoverable")
    if attempt >= attempts:
        return GiveUp("attempts exhausted")
    return RetryAfter(delay_ms(backoff, attempt=attempt, chance=chance) if backoff else 0)
