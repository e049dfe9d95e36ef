from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.plugins.backoff import History, Pause, RestartPolicy, Wait
from gateway.plugins.model import ExitClass
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.unit

TRANSIENT = [ExitClass.CLEAN, ExitClass.TEMPORARY, ExitClass.ERROR, ExitClass.SIGNAL, ExitClass.START_TIMEOUT]


@dataclass
class Flapping:
    """A connector that lives for a while and dies, again and again."""

    clock: FakeClock = field(default_factory=FakeClock)
    random: float = 0.5
    starts: list[float] = field(default_factory=list)

    history: History = field(default_factory=History)

    def life(self, seconds: float = 0.0, exit_class: ExitClass = ExitClass.ERROR) -> Pause:
        now = self.clock.monotonic
        self.starts.append(now())
        self.history = self.history.started(now()).ready(now())
        self.clock.advance(seconds)
        self.history, pause = self.history.died(exit_class, RestartPolicy(), now(), self.random)
        self.clock.advance(pause.delay.total_seconds())
        return pause

    def delays(self, count: int, seconds: float = 0.0, exit_class: ExitClass = ExitClass.ERROR) -> list[float]:
        return [self.life(seconds, exit_class).delay.total_seconds() for _ in range(count)]


def test_the_wait_doubles_with_each_death() -> None:
    assert Flapping().delays(4) == [0.25, 0.5, 1.0, 2.0]


def test_the_fifth_death_in_ten_minutes_opens_the_breaker() -> None:
    flapping = Flapping()
    flapping.delays(4)
    assert flapping.life().wait is Wait.BREAKER


def test_an_open_breaker_tries_after_5_then_15_then_every_60_minutes() -> None:
    flapping = Flapping()
    flapping.delays(4)
    assert flapping.delays(4) == [300, 900, 3600, 3600]


def test_a_minute_of_service_puts_the_wait_back_to_its_beginning() -> None:
    flapping = Flapping()
    flapping.delays(3)
    assert flapping.life(60).delay.total_seconds() == 0.25


def test_less_than_a_minute_of_service_does_not() -> None:
    flapping = Flapping()
    flapping.delays(3)
    assert flapping.life(59).delay.total_seconds() == 2.0


def test_a_minute_of_service_after_a_trial_closes_the_breaker() -> None:
    flapping = Flapping()
    flapping.delays(5)
    flapping.clock.advance(600)
    assert flapping.life(60).wait is Wait.BACKOFF


def test_the_first_three_exits_that_ask_for_another_try_do_not_count() -> None:
    flapping = Flapping()
    flapping.delays(3, exit_class=ExitClass.TEMPORARY)
    assert [flapping.life().wait for _ in range(4)] == [Wait.BACKOFF] * 4


def test_a_minute_of_service_keeps_the_place_among_the_slow_tries() -> None:
    flapping = Flapping()
    flapping.delays(5)
    flapping.clock.advance(600)
    assert flapping.life(60).wait is Wait.BACKOFF
    assert flapping.history.trials == 1


def test_ten_minutes_of_service_make_all_deaths_forgotten() -> None:
    flapping = Flapping()
    flapping.delays(6)
    flapping.life(600)
    assert flapping.history.trials == 0
    assert flapping.life().delay.total_seconds() == 0.5


def test_a_clean_exit_counts_half() -> None:
    flapping = Flapping()
    flapping.delays(4, exit_class=ExitClass.CLEAN)
    assert sum(weight for _, weight in flapping.history.deaths) == 2


@given(st.floats(0, 1, exclude_max=True), st.integers(1, 4))
def test_jitter_stays_within_a_quarter(random: float, deaths: int) -> None:
    plain, spread = Flapping().delays(deaths)[-1], Flapping(random=random).delays(deaths)[-1]
    assert plain * 0.75 <= spread <= plain * 1.25


@given(st.floats(0, 1, exclude_max=True))
def test_the_first_restart_is_tried_within_half_a_second(random: float) -> None:
    assert Flapping(random=random).delays(1)[0] < 0.5


@given(st.lists(st.tuples(st.floats(0, 300), st.sampled_from(TRANSIENT)), max_size=60), st.floats(0, 0.999))
def test_no_ten_minutes_have_more_than_seven_starts(lives: list[tuple[float, ExitClass]], random: float) -> None:
    flapping = Flapping(random=random)
    for seconds, exit_class in lives:
        flapping.life(seconds, exit_class)
    starts = flapping.starts
    assert all(later - first > 599.999 for first, later in zip(starts, starts[7:], strict=False))


@given(st.integers(1, 40))
def test_waits_never_shrink_while_it_keeps_dying(deaths: int) -> None:
    delays = Flapping().delays(deaths)
    assert delays == sorted(delays)
