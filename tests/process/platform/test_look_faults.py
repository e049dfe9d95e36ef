"""What platforms answer about jobs that run well: nothing of it may change a job's state, or cost it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import pairwise

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from peftstudio.gateway.v1 import connections_service_pb2
from peftstudio.gateway.v1.connections_service_pb2 import CONNECTION_STATE_ACTIVE, CONNECTION_STATE_NEEDS_AUTH
from peftstudio.gateway.v1.jobs_service_pb2 import Job, JobLimits
from peftstudio.job.v1.job_state_pb2 import (
    JOB_REASON_EXIT_NONZERO,
    JOB_STATE_CANCELLED,
    JOB_STATE_FAILED,
    JOB_STATE_RUNNING,
    JOB_STATE_SUCCEEDED,
)
from tests.process.gateway.conftest import ended, eventually
from tests.process.platform.conftest import CALL_SECONDS, Bench, platform_bench
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

READABLE_BYTES = 1100
"""Longest error that people are shown: a reason and 1 KiB of words."""


async def recovers(bench: Bench, job: Job) -> None:
    """See that a job is what it was before, once everything goes well again."""
    await bench.platform.faults.clear()
    after = await bench.until(job.id, lambda job: not job.stale)
    assert (after.state, after.attempt) == (JOB_STATE_RUNNING, 1)
    assert len(await bench.platform.held()) == 1


async def test_a_platform_that_does_not_know_the_job_for_a_while_does_not_lose_it(bench: Bench) -> None:
    await bench.platform.faults.refuse("look", 404, times=3)
    job_id = await bench.submit({"seconds": -1})
    denied = await bench.stale(job_id, "NOT_FOUND")
    assert denied.status == "pending"
    running = await bench.until(job_id, lambda job: job.status == "running")
    await recovers(bench, running)


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [("2", 2.0), ("", 0.5), ("a date", 2.0)],
    ids=["in seconds", "without Retry-After", "by a date of a clock that is hours off"],
)
async def test_a_429_pauses_the_looks_and_changes_no_state(bench: Bench, retry_after: str, seconds: float) -> None:
    job = await bench.running()
    before = len(await bench.events(job.id))
    if retry_after == "a date":
        skew = timedelta(hours=5)
        await bench.platform.faults.set(clock_skew_seconds=skew.total_seconds())
        # Whole seconds: an answer within the same one gives the pause in full.
        retry_after = format_datetime(datetime.now(UTC) + skew + timedelta(seconds=4), usegmt=True)
    await bench.platform.faults.limit("look", retry_after)
    asked = len(await bench.platform.arrivals("look"))

    async def is_looked_at_again() -> bool:
        return len(await bench.platform.arrivals("look")) >= asked + 2

    await eventually(is_looked_at_again)
    moments = await bench.platform.arrivals("look")
    assert max(late - early for early, late in pairwise(moments[-4:])) >= seconds
    assert "state_changed" not in (await bench.events(job.id))[before:]
    await recovers(bench, job)


@pytest.mark.parametrize("connector_id", ["rental", "guide-rental"])
async def test_an_error_page_becomes_a_sentence(gateway: GatewayProcess, connector_id: str) -> None:
    async with platform_bench(gateway, connector_id) as bench:
        job = await bench.running()
        await bench.platform.faults.page("look", 502, times=None)
        failed = await bench.stale(job.id, "PLATFORM_UNAVAILABLE")
        assert "502" in failed.last_error or "Bad Gateway" in failed.last_error
        assert "<" not in failed.last_error
        assert len(failed.last_error) < 200
        assert failed.state == JOB_STATE_RUNNING
        await recovers(bench, job)


async def test_a_page_with_status_200_is_an_answer_that_cannot_be_understood(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.faults.page("look", 200, times=None)
    failed = await bench.stale(job.id, "BAD_UPSTREAM")
    assert "<" not in failed.last_error
    await recovers(bench, job)


async def test_an_answer_that_hangs_ends_in_a_time_out_and_that_comes_slowly_is_taken(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.faults.hang("look", times=None)
    assert (await bench.stale(job.id, "PLATFORM_TIMEOUT")).state == JOB_STATE_RUNNING
    await recovers(bench, job)
    await bench.platform.faults.drip("look", 1.0, times=1)
    before = (await bench.job(job.id)).observed_at.ToDatetime()
    slow = await bench.until(job.id, lambda job: job.observed_at.ToDatetime() > before + timedelta(seconds=0.5))
    assert not slow.stale


async def test_half_an_answer_is_no_answer(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.faults.half("look", times=None)
    failed = await bench.stale(job.id, "")
    assert failed.last_error.split(":")[0] in ("BAD_UPSTREAM", "PLATFORM_UNAVAILABLE")
    assert failed.state == JOB_STATE_RUNNING
    await recovers(bench, job)


async def test_an_exit_code_decides_where_the_platform_says_exited(bench: Bench) -> None:
    job = await ended(bench.stubs, await bench.submit({"seconds": 0, "exit_code": 3}))
    assert (job.state, job.reason, job.exit_code) == (JOB_STATE_FAILED, JOB_REASON_EXIT_NONZERO, 3)
    assert job.raw_state == "exited"


async def test_a_status_of_5_mb_is_cut_and_believed(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.faults.set(state_bytes=5_000_000)
    huge = await bench.until(job.id, lambda job: len(job.raw_state) > 100)
    assert huge.raw_state.startswith("running..")
    assert len(huge.raw_state.encode()) <= 256
    await bench.platform.finish(job.platform_job_id)
    assert (await ended(bench.stubs, job.id)).state == JOB_STATE_SUCCEEDED


async def test_a_status_of_5_mb_that_nobody_can_read_is_an_error_of_a_few_words(gateway: GatewayProcess) -> None:
    async with platform_bench(gateway, "guide-rental") as bench:
        job = await bench.running()
        await bench.platform.faults.set(state_bytes=5_000_000)
        huge = await bench.until(job.id, lambda job: len(job.raw_state) > 100)
        assert len(huge.raw_state.encode()) <= 256
        assert huge.state == JOB_STATE_RUNNING
        await recovers(bench, job)


async def test_an_error_of_100_kb_is_cut_and_shows_no_key(bench: Bench) -> None:
    job = await bench.running()
    text = f"job failed for {bench.platform.key}; "
    await bench.platform.faults.refuse("look", 500, text, times=None, size=100_000)
    failed = await bench.stale(job.id, "PLATFORM_UNAVAILABLE")
    assert len(failed.last_error.encode()) <= READABLE_BYTES
    assert bench.platform.key not in failed.last_error
    await bench.platform.faults.refuse("account", 403, text, times=None, size=100_000)
    verify = connections_service_pb2.VerifyConnectionRequest(connection_id=bench.connection_id)
    connect = connections_service_pb2.ConnectRequest(connector_id="rental", credentials=bench.platform.credentials)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await bench.stubs.connections.Connect(connect, timeout=CALL_SECONDS)
    said = f"{refused.value.details()} {refused.value.trailing_metadata()}"
    sizes = [len(str(key)) + len(value) for key, value in refused.value.trailing_metadata() or ()]
    assert sum(sizes) + len((refused.value.details() or "").encode()) <= 4096
    assert bench.platform.key not in said
    connection = (await bench.stubs.connections.VerifyConnection(verify, timeout=CALL_SECONDS)).connection
    assert len(connection.message.encode()) <= READABLE_BYTES
    assert bench.platform.key not in connection.message
    await recovers(bench, job)


async def test_a_revoked_key_asks_for_another_and_the_job_goes_on_with_it(bench: Bench) -> None:
    job = await bench.running()
    await bench.platform.accept("a-new-key-of-the-account")

    async def is_noticed() -> bool:
        return (await bench.connection()).state == CONNECTION_STATE_NEEDS_AUTH

    await eventually(is_noticed)
    revoked = await bench.stale(job.id, "CREDENTIALS_REJECTED")
    assert revoked.state == JOB_STATE_RUNNING
    assert bench.platform.key not in (await bench.connection()).message
    credentials = {**bench.platform.credentials, "api_key": "a-new-key-of-the-account"}
    request = connections_service_pb2.RotateCredentialsRequest(
        connection_id=bench.connection_id, credentials=credentials
    )
    await bench.stubs.connections.RotateCredentials(request, timeout=CALL_SECONDS)
    await recovers(bench, job)
    assert (await bench.connection()).state == CONNECTION_STATE_ACTIVE
    await bench.platform.finish(job.platform_job_id)
    assert (await ended(bench.stubs, job.id)).state == JOB_STATE_SUCCEEDED


@pytest.mark.parametrize("hours", [-7, 7], ids=["behind", "ahead"])
async def test_a_platforms_clock_that_is_hours_off_ends_no_job_and_costs_nothing(bench: Bench, hours: float) -> None:
    await bench.platform.faults.set(clock_skew_seconds=hours * 3600)
    limits = JobLimits(max_duration=Duration(seconds=3600), max_cost_micros=100_000)
    job = await bench.running(None, "small", limits)
    watched = await bench.until(job.id, lambda job: job.revision > 0 and not job.stale)
    now = datetime.now(UTC)
    created, started = watched.created_at.ToDatetime(UTC), watched.started_at.ToDatetime(UTC)
    assert created <= started <= now
    # Longer than the time between two looks at a job's limits, by which a job that seems old would be cancelled.
    passed = timedelta(seconds=6 if hours < 0 else 0)
    await bench.until(job.id, lambda job: job.observed_at.ToDatetime(UTC) > now + passed)
    await bench.platform.finish(job.platform_job_id)
    over = await ended(bench.stubs, job.id)
    assert over.state == JOB_STATE_SUCCEEDED
    assert started <= over.ended_at.ToDatetime(UTC) <= datetime.now(UTC)
    assert 0 < over.cost.amount_micros < 100_000


async def test_a_price_that_changes_is_the_old_one_for_jobs_that_run_and_the_new_one_for_the_next(bench: Bench) -> None:
    job = await bench.running(None, "small")
    await bench.platform.set_price("small", 80.0)
    await bench.cancel(job.id)
    over = await ended(bench.stubs, job.id)
    assert over.state == JOB_STATE_CANCELLED
    assert over.price.amount_micros == 800_000
    # A minute of 0.80 an hour: what is billed by the minute.
    assert over.cost.amount_micros == 13_334
    # Prices are kept for a while, for each connection.
    await bench.connect()
    following = await bench.running(None, "small")
    assert following.price.amount_micros == 80_000_000
