"""Many wishes are done in one go, and each gets its own result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from gateway.errors import LedgerUnavailable
from gateway.together import Together

pytestmark = pytest.mark.unit

MOST = 4


class Halver:
    """Halves numbers, many at once; odd ones cannot be, and there may be an outage."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.outage: LedgerUnavailable | None = None
        self.together = Together(self._halve, MOST)

    async def of(self, numbers: Sequence[int]) -> list[int | BaseException]:
        return await asyncio.gather(*map(self.together.do, numbers), return_exceptions=True)

    async def _halve(self, numbers: Sequence[int]) -> list[int]:
        self.batches.append(list(numbers))
        await asyncio.sleep(0)
        if self.outage:
            raise self.outage
        if any(number % 2 for number in numbers):
            raise ValueError("odd")
        return [number // 2 for number in numbers]


async def test_each_gets_its_own_result_and_no_batch_is_larger_than_allowed() -> None:
    halver = Halver()
    assert await halver.of(range(0, 20, 2)) == list(range(10))
    assert [len(batch) for batch in halver.batches] == [4, 4, 2]


async def test_one_that_cannot_be_done_fails_alone() -> None:
    halver = Halver()
    two, odd, four = await halver.of([4, 3, 8])
    assert (two, four) == (2, 4)
    assert isinstance(odd, ValueError)


async def test_an_outage_is_told_to_all_of_a_batch_without_trying_each() -> None:
    halver = Halver()
    halver.outage = LedgerUnavailable("gone")
    assert await halver.of([2, 4]) == [halver.outage, halver.outage]
    assert halver.batches == [[2, 4]]
