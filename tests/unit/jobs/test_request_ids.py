"""Jobs are found by their request ids, many with one question."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest

from gateway.errors import LedgerUnavailable
from gateway.jobs.model import Job
from gateway.jobs.request_ids import MOST, RequestIds
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

KNOWN = replace(JOB, request_id="wish-1")


@dataclass
class Questions:
    """A ledger that has one job, and answers when it may."""

    asked: list[list[str]] = field(default_factory=list)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None

    async def read(self, request_ids: Sequence[str]) -> list[Job]:
        self.asked.append(list(request_ids))
        await self.may_answer.wait()
        if self.failure:
            raise self.failure
        return [KNOWN] if KNOWN.request_id in request_ids else []


async def test_all_that_are_asked_for_while_one_question_is_under_way_are_one_question_then() -> None:
    questions = Questions()
    ids = RequestIds(questions.read)
    first = asyncio.create_task(ids.find("wish-0"))
    async with asyncio.timeout(10):
        while not questions.asked:  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0)
        others = [asyncio.create_task(ids.find(f"wish-{number}")) for number in range(1, 20)]
        await asyncio.sleep(0)
        questions.may_answer.set()
        assert await first is None
        assert await asyncio.gather(*others) == [KNOWN, *[None] * 18]
    assert [len(asked) for asked in questions.asked] == [1, 19]


async def test_a_question_is_no_longer_than_a_database_takes() -> None:
    questions = Questions()
    questions.may_answer.set()
    ids = RequestIds(questions.read)
    await asyncio.gather(*(ids.find(f"wish-{number}") for number in range(MOST * 2)))
    assert max(len(asked) for asked in questions.asked) == MOST


async def test_a_failure_is_told_to_all_who_asked_and_the_next_question_is_asked_anew() -> None:
    questions = Questions(failure=LedgerUnavailable("gone"))
    questions.may_answer.set()
    ids = RequestIds(questions.read)
    results = await asyncio.gather(ids.find("wish-1"), ids.find("wish-2"), return_exceptions=True)
    assert [type(result) for result in results] == [LedgerUnavailable, LedgerUnavailable]
    questions.failure = None
    assert await ids.find("wish-1") == KNOWN


async def test_one_who_hangs_up_takes_nobody_elses_answer_away() -> None:
    questions = Questions()
    ids = RequestIds(questions.read)
    tasks = [asyncio.create_task(ids.find(f"wish-{number}")) for number in range(2)]
    async with asyncio.timeout(10):
        while not questions.asked:  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0)
        tasks[0].cancel()
        questions.may_answer.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert results[1] == KNOWN


async def test_nobody_waits_for_a_question_that_the_end_of_the_program_took_away() -> None:
    questions = Questions()
    ids = RequestIds(questions.read)
    before = asyncio.all_tasks()
    finding = asyncio.create_task(ids.find("wish-1"))
    async with asyncio.timeout(10):
        while not questions.asked:  # noqa: ASYNC110 - by another task
            await asyncio.sleep(0)
        for task in asyncio.all_tasks() - before - {finding}:
            task.cancel()
        (result,) = await asyncio.gather(finding, return_exceptions=True)
    assert isinstance(result, asyncio.CancelledError)
