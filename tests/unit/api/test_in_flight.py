from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.in_flight import PATIENCE_SECONDS, InFlight, Lane
from tests.support.clocks import LoopTime

pytestmark = pytest.mark.unit


@given(most=st.integers(1, 4), gone=st.lists(st.booleans(), max_size=30), turns=st.integers(0, 3))
def test_so_many_are_on_their_way_in_the_order_of_their_coming_and_nobody_is_forgotten(
    most: int, gone: list[bool], turns: int
) -> None:
    in_flight, on_way, started = InFlight(most), set[int](), list[int]()

    async def send(name: int) -> None:
        lane = in_flight.lane()
        try:
            await lane.begin()
            started.append(name)
            on_way.add(name)
            assert len(on_way) <= most
            for _ in range(turns):
                await asyncio.sleep(0)
        finally:
            on_way.discard(name)
            lane.end()

    async def run() -> None:
        tasks = [asyncio.create_task(send(name)) for name in range(len(gone))]
        await asyncio.sleep(0)
        for task, is_gone in zip(tasks, gone, strict=True):
            if is_gone:
                task.cancel()
        async with asyncio.timeout(10):
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())
    assert started == sorted(started)
    assert {name for name, is_gone in enumerate(gone) if not is_gone} <= set(started)


async def overtaken() -> tuple[Lane, Lane]:
    """Give a lane whose message waits for its client, and one that went on its way instead: there is room for one."""
    time, in_flight = LoopTime(), InFlight(1)
    stuck, other = in_flight.lane(), in_flight.lane()
    await stuck.begin()
    waiting = asyncio.create_task(other.begin())
    await time.advance(PATIENCE_SECONDS)
    async with asyncio.timeout(10):
        await waiting
    return stuck, other


async def test_a_message_that_waits_for_its_client_makes_room_and_the_next_ones_take_none() -> None:
    stuck, _ = await overtaken()
    stuck.end()
    async with asyncio.timeout(10):
        await stuck.begin()


async def test_a_client_that_has_caught_up_counts_again() -> None:
    first, second = await overtaken()
    first.end()
    second.end()
    await first.begin()
    first.end()
    await first.begin()
    waiting = asyncio.create_task(second.begin())
    assert not (await asyncio.wait([waiting], timeout=0))[0]
    first.end()
    async with asyncio.timeout(10):
        await waiting


async def test_a_stream_that_ends_leaves_its_place_to_the_next() -> None:
    in_flight = InFlight(1)
    first, second, third = (in_flight.lane() for _ in range(3))
    await first.begin()
    waiting = [asyncio.create_task(lane.begin()) for lane in (second, third)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    second.end()
    first.end()
    async with asyncio.timeout(10):
        await waiting[1]
