import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.engine import Backoff
from berrante.engine.policy.backoff import delay_ms


def test_exponential_backoff_doubles_from_its_base() -> None:
    assert [delay_ms(Backoff.exponential(2_000), attempt=n, chance=0.5) for n in (1, 2, 3)] == [2_000, 4_000, 8_000]


def test_fixed_backoff_stays() -> None:
    assert {delay_ms(Backoff.fixed(700), attempt=n, chance=0.9) for n in range(1, 9)} == {700}


@given(
    base=st.integers(0, 100_000),
    attempt=st.integers(1, 12),
    jitter=st.floats(0, 1),
    chance=st.floats(0, 1, exclude_max=True),
)
def test_jitter_only_shortens_and_never_below_its_share(base: int, attempt: int, jitter: float, chance: float) -> None:
    full = delay_ms(Backoff.exponential(base), attempt=attempt, chance=chance)
    spread = delay_ms(Backoff.exponential(base, jitter=jitter), attempt=attempt, chance=chance)
    assert full * (1 - jitter) - 1 <= spread <= full


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (lambda: Backoff(type="linear"), "Backoff.type"),  # type: ignore[arg-type]
        (lambda: Backoff(delay_ms=-1), "Backoff.delay_ms"),
        (lambda: Backoff(jitter=1.1), "Backoff.jitter"),
    ],
)
def test_a_wrong_backoff_is_refused_by_field(wrong, field) -> None:
    with pytest.raises(ValueError, match=field):
        wrong()
