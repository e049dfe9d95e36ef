"""What `JobsService` answers about many jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import pytest
from google.protobuf.message import Message

from gateway.api.job_logs import JobLogs
from gateway.api.job_metrics import JobMetrics
from gateway.api.job_orphans import JobOrphans
from gateway.api.jobs import JobsServicer
from gateway.connections.service import Connections
from gateway.errors import InvalidRequest
from gateway.jobs import watchers
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import JobState
from gateway.jobs.orphans import Orphans
from gateway.jobs.states import Step
from gateway.logs.store import LogStore
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from tests.support.clocks import FakeClock
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import jobs
from tests.unit.jobs.conftest import clock, ledger  # noqa: F401 - fixtures
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

MessageT = TypeVar("MessageT", bound=Message)


@asynccontextmanager
async def servicer(ledger: Ledger, folder: Path) -> AsyncIterator[JobsServicer]:  # noqa: F811 - a fixture's name
    """Serve a ledger; what is asked here needs neither connections nor orphans."""
    async with jobs(ledger, FakePlatform(), folder) as made:
        nobody: Connections = None  # type: ignore[assignment]
        orphans: Orphans = None  # type: ignore[assignment]
        logs = JobLogs(made.jobs, LogStore(folder))
        metrics = JobMetrics(made.jobs)
        yield JobsServicer(made.jobs, made.submissions, logs, metrics, JobOrphans(orphans, nobody), nobody, FakeClock())


async def add(ledger: Ledger, *numbers: int) -> None:  # noqa: F811 - a fixture's name
    for number in numbers:
        name = f"job-{number:04}"
        await ledger.add(replace(JOB, id=name, submission_token=f"peft-{number}", state=JobState.QUEUED))


def decoded(kind: type[MessageT], answer: MessageT) -> MessageT:
    """Read an answer that is given in wire format."""
    return kind.FromString(cast("bytes", answer))


async def test_a_thousand_jobs_are_got_at_once_in_the_order_that_was_asked_for_and_no_more(
    ledger: Ledger,  # noqa: F811 - a fixture
    tmp_path: Path,
) -> None:
    await add(ledger, 1, 2)
    names = ["job-0002", *(f"job-none-{number}" for number in range(998)), "job-0001"]
    async with servicer(ledger, tmp_path) as served:
        found = decoded(pb.BatchGetJobsResponse, await served.BatchGetJobs(pb.BatchGetJobsRequest(job_ids=names), None))
        with pytest.raises(InvalidRequest, match="more than 1000"):
            await served.BatchGetJobs(pb.BatchGetJobsRequest(job_ids=[*names, "job-0003"]), None)
    assert [job.id for job in found.jobs] == ["job-0002", "job-0001"]
    assert len(found.missing_job_ids) == 998


@pytest.mark.parametrize("ascending", [False, True])
async def test_pages_neither_repeat_nor_miss_a_job_while_others_are_added(
    ledger: Ledger,  # noqa: F811 - a fixture
    tmp_path: Path,
    *,
    ascending: bool,
) -> None:
    await add(ledger, *range(10, 20))
    seen: list[str] = []
    async with servicer(ledger, tmp_path) as served:
        token, number = "", 20
        while token or not seen:
            request = pb.ListJobsRequest(page_size=3, page_token=token, ascending=ascending)
            page = decoded(pb.ListJobsResponse, await served.ListJobs(request, None))
            seen += [job.id for job in page.jobs]
            token = page.next_page_token
            if number < 24:
                await add(ledger, number)
                number += 1
        with pytest.raises(InvalidRequest, match="page_token"):
            await served.ListJobs(pb.ListJobsRequest(page_token="AAAA", ascending=ascending), None)
    old = [f"job-{number:04}" for number in range(10, 20)]
    assert len(seen) == len(set(seen))
    assert [name for name in seen if name in old] == (old if ascending else old[::-1])


async def test_a_watch_gives_signs_of_life_with_the_point_to_go_on_behind(
    ledger: Ledger,  # noqa: F811 - a fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watchers, "WATCH_BEAT_SECONDS", 0.001)
    await add(ledger, 1)
    async with servicer(ledger, tmp_path) as served, asyncio.timeout(10):
        watch = served.WatchJobs(pb.WatchJobsRequest(), None)
        first = decoded(pb.WatchJobsResponse, await anext(watch))
        beat = await anext(watch)
        assert (first.job.id, beat.HasField("job"), beat.revision) == ("job-0001", False, ledger.published)
        await ledger.change("job-0001", lambda now: Step(replace(now, state=JobState.RUNNING), "state_changed", "x"))
        again = served.WatchJobs(pb.WatchJobsRequest(since_revision=beat.revision), None)
        assert decoded(pb.WatchJobsResponse, await anext(again)).job.id == "job-0001"
