"""Whose cancellation it was."""

from __future__ import annotations

import asyncio

import pytest

from gateway.cancellation import only_own_cancellation
from gateway.errors import ConnectorDown
from gateway.plugins.sessions import Sessions

pytestmark = pytest.mark.unit


class Gone(Exception):
    pass


async def test_a_cancellation_that_leaks_from_what_is_awaited_is_an_error() -> None:
    inner: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    inner.cancel()
    with pytest.raises(Gone), only_own_cancellation(Gone):
        await inner


async def test_a_cancellation_that_was_asked_for_stays_one() -> None:
    began = asyncio.Event()

    async def work() -> None:
        with only_own_cancellation(Gone):
            began.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await began.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_time_limit_around_it_is_still_a_time_limit() -> None:
    async def work() -> None:
        with only_own_cancellation(Gone):
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(work(), 0.001)


async def test_callers_of_a_process_that_ends_while_the_connection_opens_are_told_so() -> None:
    began = asyncio.Event()

    async def connect(connection_id: str, values: dict[str, str], limit: object) -> str:
        began.set()
        await asyncio.Event().wait()
        return connection_id

    async def load() -> dict[str, str]:
        return {}

    sessions = Sessions(connect)
    callers = [asyncio.create_task(sessions.open("conn", load, 0)) for _ in range(2)]
    await began.wait()
    await sessions.close()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectorDown, ConnectorDown]
