"""One connection's calls within what its platform allows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import ConnectorDown, GatewayError, Reason, RemoteError
from gateway.plugins.breaker import FAILURES, OPEN_CAP_SECONDS, OPEN_FIRST_SECONDS, SPAN_SECONDS
from gateway.plugins.traffic import SHARES, WINDOW_SECONDS, Traffic
from gateway.priority import Priority, asked_by_user, at_least
from tests.support.clocks import LoopTime

pytestmark = pytest.mark.unit


class Ticking:
    """A clock for a loop that never really waits."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def down(reason: Reason = Reason.PLATFORM_UNAVAILABLE) -> RemoteError:
    return RemoteError("503", reason=reason)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(Priority), st.floats(0, 20)), max_size=200), st.integers(1, 40))
def test_no_minute_has_more_calls_than_the_platform_allows(calls: list[tuple[Priority, float]], most: int) -> None:
    clock = Ticking()
    traffic = Traffic(clock=clock)
    sent: list[float] = []
    refused: list[tuple[Reason, bool]] = []

    async def call() -> None:
        for priority, passed in calls:
            clock.seconds += passed
            try:
                await traffic.admit(priority, most, 0.0)
            except GatewayError as error:
                refused.append((error.reason, error.is_unsent))
            else:
                sent.append(clock.seconds)

    asyncio.run(call())
    assert set(refused) <= {(Reason.RATE_LIMITED, True)}
    for moment in sent:
        assert sum(1 for other in sent if moment - WINDOW_SECONDS < other <= moment) <= most


async def test_looks_and_lists_leave_something_for_a_user_and_nothing_keeps_a_cancel_waiting() -> None:
    traffic = Traffic(clock=Ticking())

    async def let_through(priority: Priority) -> int:
        for count in range(1000):
            try:
                await traffic.admit(priority, 100, 0.0)
            except GatewayError:
                return count
        raise AssertionError("nothing was ever refused")

    counts = [await let_through(priority) for priority in sorted(Priority, reverse=True)]
    assert counts == [50, 10, 30, 5, 5]
    assert sum(counts) == 100
    assert SHARES[Priority.CANCEL] == 1.0


async def test_those_who_wait_go_by_importance_and_then_by_their_coming() -> None:
    time, order = LoopTime(), list[str]()
    traffic = Traffic(clock=time.now)
    traffic.limited(timedelta(seconds=20))

    async def call(priority: Priority, name: str) -> None:
        await traffic.admit(priority, 100, 60.0)
        order.append(name)

    names = [(Priority.CATALOG, "list"), (Priority.POLL, "look"), (Priority.READ, "user"), (Priority.READ, "user 2")]
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        for priority, name in [*names, (Priority.SUBMIT, "submit"), (Priority.CANCEL, "cancel")]:
            tasks.create_task(call(priority, name))
        await time.advance(20)
    assert order == ["cancel", "submit", "user", "user 2", "look", "list"]


async def test_a_429_pauses_all_but_a_cancel_for_as_long_as_the_platform_says() -> None:
    clock = Ticking()
    traffic = Traffic(clock=clock)
    assert traffic.limited(timedelta(seconds=20)) == timedelta(seconds=20)
    await traffic.admit(Priority.CANCEL, 0, 0.0)
    with pytest.raises(GatewayError) as refused:
        await traffic.admit(Priority.SUBMIT, 0, 10.0)
    assert refused.value.retry_after == timedelta(seconds=20)
    clock.seconds += 20
    await traffic.admit(Priority.CATALOG, 0, 0.0)


async def test_a_429_that_does_not_say_how_long_pauses_longer_each_time_until_a_success() -> None:
    traffic = Traffic(clock=Ticking())
    assert [traffic.limited(None).total_seconds() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    await traffic.succeeded()
    assert traffic.limited(None).total_seconds() == 1


async def test_whoever_gives_up_waiting_is_in_nobodys_way() -> None:
    time = LoopTime()
    traffic = Traffic(clock=time.now)
    traffic.limited(timedelta(seconds=20))
    gone = asyncio.create_task(traffic.admit(Priority.SUBMIT, 10, 30.0))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    going = asyncio.create_task(traffic.admit(Priority.POLL, 10, None))
    await time.advance(20)
    async with asyncio.timeout(5):
        await going


async def fail(
    traffic: Traffic, clock: Ticking, times: int = FAILURES, error: Callable[[], GatewayError] = down
) -> None:
    for _ in range(times):
        clock.seconds += SPAN_SECONDS
        await traffic.failed(error())


async def test_a_platform_that_fails_again_and_again_is_left_alone_and_told_of_and_tried_with_one_call() -> None:
    clock, notes = Ticking(), list[str]()

    async def note(words: str) -> None:
        notes.append(words)

    traffic = Traffic(note, clock)
    await fail(traffic, clock)
    assert "PLATFORM_UNAVAILABLE: 503" in notes[-1]
    with pytest.raises(GatewayError) as refused:
        traffic.breaker.enter(may_probe=True)
    assert refused.value.is_unsent
    assert refused.value.retry_after == timedelta(seconds=OPEN_FIRST_SECONDS)
    clock.seconds += OPEN_FIRST_SECONDS
    with pytest.raises(GatewayError):
        traffic.breaker.enter(may_probe=False)
    assert traffic.breaker.enter(may_probe=True)
    with pytest.raises(GatewayError):
        traffic.breaker.enter(may_probe=True)
    traffic.breaker.leave(is_probe=True)
    await traffic.succeeded()
    assert notes[-1] == ""
    assert not traffic.breaker.enter(may_probe=True)


async def test_each_failed_try_doubles_the_time_that_the_platform_is_left_alone() -> None:
    clock = Ticking()
    traffic = Traffic(clock=clock)
    await fail(traffic, clock)
    waits = []
    for _ in range(6):
        with pytest.raises(GatewayError) as refused:
            traffic.breaker.enter(may_probe=True)
        assert refused.value.retry_after is not None
        waits.append(refused.value.retry_after.total_seconds())
        clock.seconds += waits[-1]
        assert traffic.breaker.enter(may_probe=True)
        await traffic.failed(down(Reason.PLATFORM_TIMEOUT))
        traffic.breaker.leave(is_probe=True)
    assert waits == [10, 20, 40, 80, OPEN_CAP_SECONDS, OPEN_CAP_SECONDS]


async def test_what_fails_together_is_one_failure_and_an_answer_of_any_kind_is_none() -> None:
    clock = Ticking()
    traffic = Traffic(clock=clock)
    for _ in range(50):
        await traffic.failed(down())
    assert traffic.breaker.words == ""
    await fail(traffic, clock, FAILURES - 1)
    assert traffic.breaker.words
    await traffic.failed(RemoteError("no such job", reason=Reason.NOT_FOUND))
    assert traffic.breaker.words == ""
    await fail(traffic, clock, 50, lambda: ConnectorDown("the process ended"))
    assert traffic.breaker.words == ""


async def test_a_platform_that_refuses_connections_is_left_alone_like_any_that_fails() -> None:
    def refused() -> GatewayError:
        error = RemoteError("refused", reason=Reason.PLATFORM_UNAVAILABLE)
        error.is_unsent = True
        return error

    clock = Ticking()
    traffic = Traffic(clock=clock)
    await fail(traffic, clock, error=refused)
    assert traffic.breaker.words


async def test_a_look_that_a_user_waits_for_goes_as_the_users() -> None:
    with asked_by_user():
        inner = await asyncio.create_task(priority_of(Priority.POLL))
        assert (inner, at_least(Priority.CANCEL)) == (Priority.READ, Priority.CANCEL)
    assert at_least(Priority.POLL) is Priority.POLL


async def priority_of(priority: Priority) -> Priority:
    return at_least(priority)
