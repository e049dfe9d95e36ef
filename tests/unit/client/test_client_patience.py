"""Waiting between tries, with a clock of the test's own."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.client.patience import Backoff, Patience

pytestmark = pytest.mark.unit


@given(failures=st.integers(1, 10_000), draw=st.floats(0, 1))
def test_a_delay_is_never_below_zero_and_never_above_the_cap(failures: int, draw: float) -> None:
    backoff = Backoff(first_seconds=0.2, cap_seconds=10)

    assert 0 <= backoff.delay(failures, lambda: draw) <= 10


def test_the_upper_end_doubles_up_to_the_cap() -> None:
    backoff = Backoff(first_seconds=1, cap_seconds=5)

    assert [backoff.delay(failures, lambda: 1.0) for failures in range(1, 6)] == [1, 2, 4, 5, 5]


def test_a_success_starts_the_count_and_the_clock_again() -> None:
    time = 0.0
    patience = Patience(lambda: time, give_up_after=timedelta(seconds=10), draw=lambda: 1.0)
    assert [patience.next_delay() for _ in range(3)] == [0.2, 0.4, 0.8]
    time = 9.0
    patience.succeeded()
    time = 18.0

    assert patience.next_delay() == 0.2


def test_patience_ends_at_its_time_without_a_success() -> None:
    time = 0.0
    patience = Patience(lambda: time, give_up_after=timedelta(seconds=10), draw=lambda: 1.0)
    time = 10.0

    assert patience.next_delay() is None


def test_the_gateways_wish_is_kept_unless_it_is_longer_than_patience() -> None:
    patience = Patience(lambda: 0.0, give_up_after=timedelta(seconds=10), draw=lambda: 0.0)

    assert patience.next_delay(timedelta(seconds=4)) == 4
    assert patience.next_delay(timedelta(seconds=60)) is None
