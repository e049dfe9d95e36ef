"""Submissions whose answers are lost, late, half, or no answers at all: one machine, and a job that runs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio

from connector_sdk.testing import FakePlatform
from peftstudio.gateway.v1 import connections_service_pb2
from peftstudio.job.v1.job_state_pb2 import (
    JOB_REASON_CONFIG_REJECTED,
    JOB_REASON_SUBMIT_AMBIGUOUS,
    JOB_STATE_FAILED,
    JOB_STATE_SUBMITTING,
    JOB_STATE_SUCCEEDED,
)
from tests.process.gateway.conftest import ended
from tests.process.platform.conftest import CALL_SECONDS, ENDLESS, Bench, platform_bench
from tests.support.gateway_process import GatewayProcess

pytestmark = [pytest.mark.process, pytest.mark.asyncio(loop_scope="module")]

Lose = Callable[[FakePlatform], Awaitable[None]]

LOST: dict[str, Lose] = {
    "500": lambda platform: platform.faults.lose("submit", 500),
    "a 502 page": lambda platform: platform.faults.page("submit", 502, is_done=True),
    "half an answer": lambda platform: platform.faults.half("submit"),
    "silence": lambda platform: platform.faults.hang("submit", is_done=True),
}


@pytest_asyncio.fixture(loop_scope="module", params=["rental", "keyed-rental"])
async def safe(gateway: GatewayProcess, request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    """A bench whose connector can tell, or makes sure, that nothing is rented twice."""
    async with platform_bench(gateway, request.param) as made:
        yield made


@pytest.mark.parametrize("answer", LOST)
async def test_a_submission_that_is_answered_by_a_failure_rents_one_machine(safe: Bench, answer: str) -> None:
    await LOST[answer](safe.platform)
    job = await safe.running()
    (rental,) = await safe.platform.rentals()
    assert rental.job_id == job.platform_job_id
    assert rental.is_held
    await safe.cancel(job.id)
    await ended(safe.stubs, job.id)
    assert await safe.platform.held() == []


async def test_a_list_that_lags_behind_a_lost_answer_does_not_rent_a_second_machine(bench: Bench) -> None:
    await bench.platform.faults.set(list_lag_seconds=1.5)
    await bench.platform.faults.lose("submit")
    job_id = await bench.submit({"seconds": 0})
    assert (await ended(bench.stubs, job_id)).state == JOB_STATE_SUCCEEDED
    assert len(await bench.platform.rentals()) == 1
    assert len(await bench.platform.arrivals("list")) > 1


async def test_a_lost_answer_of_a_platform_that_cannot_be_asked_fails_the_job_and_says_where_to_look(
    gateway: GatewayProcess,
) -> None:
    async with platform_bench(gateway, "guide-rental") as bench:
        await bench.platform.faults.lose("submit")
        job = await ended(bench.stubs, await bench.submit(ENDLESS))
        assert (job.state, job.reason) == (JOB_STATE_FAILED, JOB_REASON_SUBMIT_AMBIGUOUS)
        assert "look on the platform" in job.message
        assert len(await bench.platform.rentals()) == 1


async def test_a_rotation_of_credentials_does_not_cut_a_submission_that_is_under_way(gateway: GatewayProcess) -> None:
    async with platform_bench(gateway, "guide-rental") as bench:
        await bench.platform.accept(bench.platform.key, "the-next-key")
        await bench.platform.faults.drip("submit", 3)
        job_id = await bench.submit(ENDLESS)
        await bench.until_rented()
        credentials = {**bench.platform.credentials, "api_key": "the-next-key"}
        request = connections_service_pb2.RotateCredentialsRequest(
            connection_id=bench.connection_id, credentials=credentials
        )
        await bench.stubs.connections.RotateCredentials(request, timeout=CALL_SECONDS)
        assert not (await bench.job(job_id)).platform_job_id
        await bench.until(job_id, lambda job: job.status == "running")
        assert len(await bench.platform.rentals()) == 1


async def test_a_submission_that_meets_429s_is_made_again_when_the_platform_said(bench: Bench) -> None:
    await bench.platform.faults.limit("submit", "1")
    await bench.platform.faults.limit("submit")
    job_id = await bench.submit({"seconds": 0})
    limited = await bench.until(job_id, lambda job: "RATE_LIMITED" in job.last_error)
    assert limited.state == JOB_STATE_SUBMITTING
    assert (await ended(bench.stubs, job_id)).state == JOB_STATE_SUCCEEDED
    first, second, third = await bench.platform.arrivals("submit")
    assert second - first >= 1
    assert third > second
    assert len(await bench.platform.rentals()) == 1


async def test_a_submission_that_the_platform_refuses_fails_with_its_words_and_rents_nothing(bench: Bench) -> None:
    await bench.platform.faults.refuse("submit", 422, "rank 8 is not offered")
    job = await ended(bench.stubs, await bench.submit())
    assert (job.state, job.reason) == (JOB_STATE_FAILED, JOB_REASON_CONFIG_REJECTED)
    assert "rank 8 is not offered" in job.message
    assert await bench.platform.rentals() == []


async def test_a_gateway_that_is_killed_while_a_submission_hangs_finds_its_machine(
    gateway: GatewayProcess, bench: Bench
) -> None:
    await bench.platform.faults.hang("submit", is_done=True)
    job_id = await bench.submit(ENDLESS)
    await bench.until_rented()
    await gateway.kill()
    await gateway.start()
    async with gateway.connected() as bench.stubs:
        job = await bench.until(job_id, lambda job: job.status == "running")
        (rental,) = await bench.platform.rentals()
        assert rental.job_id == job.platform_job_id
        await bench.cancel(job_id)
        await ended(bench.stubs, job_id)
        assert await bench.platform.held() == []
