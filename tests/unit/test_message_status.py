"""Which of two statuses of a message holds."""

from functools import reduce
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from berrante.gateways.protocol import ReceiptStatus
from berrante.messaging.messages.status import OPEN, MessageStatus, below, from_receipt, later

statuses = st.sampled_from([status for status in MessageStatus if status is not MessageStatus.RECEIVED])


@given(st.lists(statuses, min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_the_order_in_which_news_comes_does_not_matter(news: list[MessageStatus], luck: object) -> None:
    shuffled = list(news)
    luck.shuffle(shuffled)  # type: ignore[attr-defined]

    assert reduce(later, news) is reduce(later, shuffled)


@given(statuses, statuses)
def test_a_status_is_one_of_the_two_and_never_falls(current: MessageStatus, news: MessageStatus) -> None:
    holds = later(current, news)

    assert holds in {current, news}
    assert later(holds, current) is holds
    assert later(holds, news) is holds
    assert (current in below(news)) == (holds is news and news is not current)


@pytest.mark.parametrize("order", list(permutations(["sent", "delivered", "read"])))
def test_read_is_the_end_of_every_order(order: tuple[str, ...]) -> None:
    news = [from_receipt(ReceiptStatus(name)) for name in order]

    assert reduce(later, news, MessageStatus.SENDING) is MessageStatus.READ


@pytest.mark.parametrize(
    ("current", "news", "holds"),
    [
        ("queued", "sent", "sent"),
        ("sending", "delivered", "delivered"),
        ("in_doubt", "sent", "sent"),
        ("in_doubt", "failed", "failed"),
        ("sent", "failed", "failed"),
        ("failed", "sent", "failed"),
        ("failed", "delivered", "delivered"),
        ("delivered", "failed", "delivered"),
        ("read", "failed", "read"),
        ("sent", "in_doubt", "sent"),
    ],
)
def test_what_people_rely_on(current: str, news: str, holds: str) -> None:
    assert later(MessageStatus(current), MessageStatus(news)) == holds


def test_only_what_we_still_have_to_do_is_open() -> None:
    assert {"queued", "sending"} == OPEN
