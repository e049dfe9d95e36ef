"""When an event loop counts as blocked, with a clock that the test turns."""

import asyncio
import logging
import threading
from collections.abc import Iterator

import pytest

from connector_sdk._pulse import BEAT_SECONDS, BLOCKED_SECONDS, NOTICED_SECONDS, OVERSLEPT_SECONDS, Pulse, Watchdog

pytestmark = pytest.mark.unit


class World:
    """A loop that answers when the test lets it, and a watchdog that looks at it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.said: list[bool] = []
        self.loop = asyncio.new_event_loop()
        self.watchdog = Watchdog(Pulse(self.loop, self._clock), self.said.append, self._clock)

    def pass_seconds(self, seconds: float, *, is_blocked: bool) -> None:
        """Let time pass in steps, as the watchdog's thread does."""
        for _ in range(round(seconds / BEAT_SECONDS)):
            self.now += BEAT_SECONDS
            if not is_blocked:
                self.answer()
            self.watchdog.look()

    def answer(self) -> None:
        """Let the loop do what waits for it."""
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def _clock(self) -> float:
        return self.now


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.loop.close()


def _lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    for thread in threading.enumerate():
        if thread.name == "watchdog log":
            thread.join(10)
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


def test_a_loop_that_answers_is_never_reported(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.pass_seconds(60, is_blocked=False)
    assert world.said == []
    assert _lines(caplog) == []


def test_a_blocked_loop_is_logged_before_it_is_reported_and_each_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.pass_seconds(NOTICED_SECONDS + 3 * BEAT_SECONDS, is_blocked=True)
    assert world.said == []
    assert len(_lines(caplog)) == 1
    world.pass_seconds(BLOCKED_SECONDS, is_blocked=True)
    assert world.said == [False]
    world.pass_seconds(60, is_blocked=True)
    assert world.said == [False]
    assert len(_lines(caplog)) == 1


def test_a_loop_that_answers_again_is_reported_and_its_next_block_is_another(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        world.pass_seconds(10, is_blocked=True)
        world.pass_seconds(1, is_blocked=False)
    assert world.said == [False, True, False, True]
    assert len(_lines(caplog)) == 2


def test_a_process_that_was_stopped_is_not_taken_for_blocked(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.watchdog.look()
    world.now += OVERSLEPT_SECONDS + 3600
    world.watchdog.look()
    world.pass_seconds(1, is_blocked=False)
    assert world.said == []
    assert _lines(caplog) == []


def test_a_closed_loop_ends_the_looking(world: World) -> None:
    pulse = Pulse(world.loop)
    assert not pulse.is_over
    world.loop.close()
    assert pulse.is_over
    with pytest.raises(RuntimeError):
        pulse.beat()
