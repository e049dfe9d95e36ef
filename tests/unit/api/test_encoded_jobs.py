"""Jobs that are encoded once, beside what protobuf makes of them each time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api import encoded_jobs
from gateway.api.encoded_jobs import MOST_BYTES, EncodedJobs
from gateway.api.jobs_convert import job_to_proto
from gateway.catalog.model import Price, PriceUnit
from gateway.jobs.model import Hold, Job, JobLimits, JobState, Progress
from gateway.jobs.service import Jobs
from gateway.wire.fields import nested, read_varint, varint
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Chunk
from tests.support.clocks import NOON, FakeClock
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit

moments = st.integers(0, 10_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
closed = st.lists(st.builds(Hold, start=moments, end=moments), max_size=3).map(tuple)
holds = closed | st.builds(lambda before, start: (*before, Hold(start=start)), closed, moments)
prices = st.none() | st.builds(
    Price,
    resource_id=st.just("gpu"),
    not_priced=st.booleans(),
    amount_micros=st.integers(0, 10**9),
    unit=st.sampled_from(PriceUnit),
    as_of=st.just(NOON),
)
jobs = st.builds(
    replace,
    st.just(JOB),
    id=st.sampled_from(["job-1", "job-2"]),
    state=st.sampled_from(JobState),
    message=st.text(max_size=200),
    labels=st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    limits=st.builds(JobLimits, max_cost_micros=st.integers(0, 10**6)),
    progress=st.none() | st.builds(Progress, step=st.integers(0, 10)),
    observed_at=st.none() | moments,
    exit_code=st.sampled_from([None, 0, -9]),
    revision=st.integers(1, 2**40),
    last_log_seq=st.integers(0, 2**40),
    tokens=st.integers(0, 10**9),
    price=prices,
    holds=holds,
)


def encoder(clock: FakeClock, shown: Mapping[str, str] | None = None) -> EncodedJobs:
    """Make an encoder that shows the jobs with these states' messages instead of their own."""
    words = shown or {}
    shows = SimpleNamespace(shown=lambda job: replace(job, message=words[job.state]) if job.state in words else job)
    return EncodedJobs(cast("Jobs", shows), clock)


def plain(job: Job, now: datetime) -> pb.GetJobResponse:
    return pb.GetJobResponse(job=job_to_proto(job, now))


@given(st.lists(st.tuples(jobs, st.integers(0, 5000)), min_size=1, max_size=6))
def test_what_is_encoded_is_what_protobuf_encodes_at_any_time_and_in_any_order(asked: list[tuple[Job, int]]) -> None:
    clock = FakeClock()
    encoded = encoder(clock)
    for job, seconds in [*asked, *asked[::-1]]:
        clock.advance(seconds)
        assert pb.GetJobResponse.FromString(encoded.field(job)) == plain(job, clock.now())


def test_the_cost_of_what_is_held_grows_while_nothing_else_changes() -> None:
    clock = FakeClock()
    price = Price(resource_id="gpu", not_priced=False, amount_micros=3_600_000, as_of=NOON)
    job = replace(JOB, state=JobState.RUNNING, price=price, holds=(Hold(start=NOON),))
    encoded = encoder(clock)
    costs = []
    for _ in range(3):
        costs.append(pb.GetJobResponse.FromString(encoded.field(job)).job.cost.amount_micros)
        clock.advance(1)
    assert costs == [0, 1000, 2000]


def test_a_place_in_the_line_is_shown_as_it_is_now() -> None:
    words = {"QUEUED": "2 jobs are before it"}
    encoded = encoder(FakeClock(), words)
    job = replace(JOB, state=JobState.QUEUED)
    for text in ("2 jobs are before it", "it is the next"):
        words["QUEUED"] = text
        assert pb.GetJobResponse.FromString(encoded.field(job)).job.message == text


def test_a_job_is_encoded_once_while_it_is_the_same_and_large_ones_are_not_kept() -> None:
    encoded = encoder(FakeClock())
    small, large = JOB, replace(JOB, id="job-2", message="x" * MOST_BYTES)
    assert encoded.field(small) is encoded.field(small)
    assert encoded.field(large) is not encoded.field(large)
    assert encoded.field(replace(small, message="new")) != encoded.field(small)


def test_so_many_jobs_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoded_jobs, "MOST_JOBS", 2)
    encoded = encoder(FakeClock())
    numbered = [replace(JOB, id=f"job-{number}") for number in range(3)]
    fields = [encoded.field(job) for job in numbered]
    assert [encoded.field(job) is field for job, field in zip(numbered[1:], fields[1:], strict=True)] == [True, True]
    assert encoded.field(numbered[0]) is not fields[0]


@given(st.integers(0, 2**63 - 1), st.integers(0, 5))
def test_numbers_are_written_as_protobuf_does_and_read_again(number: int, before: int) -> None:
    assert b"\x08" + varint(number) == Chunk(offset=number).SerializeToString() or number == 0
    data = b"\xff" * before + varint(number)
    assert read_varint(memoryview(data), before) == (number, len(data))
    assert read_varint(memoryview(data[:-1]), before) == (0, 0)


@given(st.binary(min_size=1, max_size=300))
def test_nested_fields_are_written_as_protobuf_does(data: bytes) -> None:
    assert nested(Chunk.DATA_FIELD_NUMBER, data) == Chunk(data=data).SerializeToString()
    cost = pb.JobCost(amount_micros=len(data))
    assert nested(pb.Job.COST_FIELD_NUMBER, cost.SerializeToString()) == pb.Job(cost=cost).SerializeToString()
