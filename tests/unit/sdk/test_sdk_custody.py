"""Who keeps a connector's process, and for how long."""

import math

import pytest

from connector_sdk._custody import TRUSTED_SECONDS, Custody

pytestmark = pytest.mark.unit

LINGER_SECONDS = 5.0


class World:
    """A clock and an event loop that do as the test says."""

    def __init__(self, linger_seconds: float = LINGER_SECONDS) -> None:
        self.now = 100.0
        self.silent_seconds = 0.0
        self.wakes = 0
        self.custody = Custody(linger_seconds, lambda: self.silent_seconds, self._wake, lambda: self.now)

    def _wake(self) -> None:
        self.wakes += 1


def test_the_first_gateway_holds_the_process_without_a_limit() -> None:
    world = World()
    world.now += 1e6
    assert world.custody.left_seconds() == math.inf


def test_an_orphan_that_nobody_holds_has_the_time_it_lingers() -> None:
    world = World()
    world.now += 1e6
    world.custody.orphan()
    assert world.custody.left_seconds() == LINGER_SECONDS
    world.now += 4
    assert world.custody.left_seconds() == 1
    world.now += 1
    assert world.custody.left_seconds() <= 0


def test_who_holds_an_orphan_keeps_it_for_good_and_its_time_begins_anew_afterwards() -> None:
    world = World()
    world.custody.orphan()
    with world.custody.held():
        world.now += 1e6
        assert world.custody.left_seconds() > 0
    assert world.custody.left_seconds() == LINGER_SECONDS
    assert world.wakes == 1


def test_the_last_of_several_holders_counts() -> None:
    world = World()
    world.custody.orphan()
    with world.custody.held():
        with world.custody.held():
            world.now += 1e6
        world.now += 1e6
        assert world.custody.left_seconds() > 0


def test_a_holder_from_before_the_loss_holds_beyond_it() -> None:
    world = World()
    with world.custody.held():
        world.custody.orphan()
        world.now += 1e6
        assert world.custody.left_seconds() > 0


@pytest.mark.parametrize("linger_seconds", [0.0, TRUSTED_SECONDS * 2])
def test_a_holder_counts_no_longer_once_the_loop_that_serves_it_is_silent_for_long(linger_seconds: float) -> None:
    world = World(linger_seconds)
    world.custody.orphan()
    with world.custody.held():
        world.silent_seconds = max(linger_seconds, TRUSTED_SECONDS) - 1
        assert world.custody.left_seconds() == 1
        world.silent_seconds += 1
        assert world.custody.left_seconds() <= 0
        world.silent_seconds = 0
        assert world.custody.left_seconds() > 0
