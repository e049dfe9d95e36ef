"""Submitting, listing, waiting and metrics."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.client import Client, GatewayCallError, InvalidConfigError, SyncClient
from peftstudio.gateway.v1.jobs_service_pb2 import JobFilter
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_FAILED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED
from peftstudio.job.v1.metric_pb2 import Metric
from tests.support.fake_gateway import FakeGateway, running_fake_gateway

pytestmark = [pytest.mark.wire, pytest.mark.timeout(30)]

CONFIG = {"base_model": "tiny/model", "dataset_path": "/data.jsonl", "rank": 4}


async def test_a_submission_whose_answer_is_lost_makes_one_job(fake: FakeGateway, client: Client) -> None:
    fake.state.faults.lost_submit_answers = 2

    job = await client.jobs.submit("local", CONFIG)

    assert fake.state.calls == ["SubmitJob"] * 3
    assert list(fake.state.jobs) == [job.id]
    assert job.config.rank == 4


async def test_two_submissions_are_two_wishes_unless_the_request_id_is_the_same(client: Client) -> None:
    first = await client.jobs.submit("local", CONFIG)
    second = await client.jobs.submit("local", CONFIG)
    third = await client.jobs.submit("local", CONFIG, request_id="mine")
    again = await client.jobs.submit("local", CONFIG, request_id="mine")

    assert first.id != second.id
    assert third.id == again.id


async def test_all_violations_of_the_gateway_arrive(client: Client) -> None:
    with pytest.raises(GatewayCallError) as caught:
        await client.jobs.submit("local", {"rank": 0})

    assert caught.value.reason == "INVALID_CONFIG"
    assert {violation.field for violation in caught.value.violations} == {"config.base_model", "config.rank"}


async def test_a_config_with_unknown_keys_is_refused_before_any_call(fake: FakeGateway, client: Client) -> None:
    with pytest.raises(InvalidConfigError, match="did you mean learning_rate"):
        await client.jobs.submit("local", {"learnign_rate": 1})

    assert fake.state.calls == []


async def test_a_list_goes_over_all_pages(fake: FakeGateway, client: Client) -> None:
    for number in range(7):
        fake.state.add_job(f"j{number}", connection="a" if number % 2 else "b")

    assert [job.id async for job in client.jobs.list()] == [f"j{number}" for number in range(6, -1, -1)]
    assert [job.id async for job in client.jobs.list(JobFilter(connection_id="a"), ascending=True)] == [
        "j1",
        "j3",
        "j5",
    ]


async def test_waiting_goes_over_cuts_and_ends_with_the_job(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    fake.state.faults.watch_cuts = [0, 1, 0]

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        waiting = group.create_task(client.jobs.wait("j"))
        while "WatchJobs" not in fake.state.calls:
            async with fake.state.changed:
                fake.state.changed.notify_all()

            await asyncio.sleep(0)

        await fake.state.end_job("j", JOB_STATE_FAILED)

    assert waiting.result().state == JOB_STATE_FAILED


async def test_waiting_for_an_ended_job_returns_at_once(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j")

    assert (await client.jobs.wait("j")).state == JOB_STATE_SUCCEEDED
    assert fake.state.calls == ["GetJob"]


async def test_waiting_ends_with_its_time(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)

    with pytest.raises(TimeoutError, match="has not ended"):
        await client.jobs.wait("j", timedelta(seconds=0.2))


async def test_each_point_of_the_metrics_comes_once_however_the_stream_is_cut(
    fake: FakeGateway, client: Client
) -> None:
    fake.state.add_job("j")
    fake.state.metrics["j"] = [Metric(name="loss", step=step, value=1 / step, attempt=1) for step in range(1, 21)]
    fake.state.faults.metric_cuts = [0, 5, 3, 12]

    updates = [update async for update in client.jobs.follow_metrics("j")]

    assert [point.step for update in updates for point in update.metrics] == list(range(1, 21))
    assert updates[-1].final_state == JOB_STATE_SUCCEEDED


async def test_a_wrong_token_is_an_error_with_its_reason(fake: FakeGateway) -> None:
    async with Client(fake.address, "wrong") as client:
        with pytest.raises(GatewayCallError) as caught:
            await client.jobs.get("j")

    assert caught.value.reason == "CREDENTIALS_REJECTED"


def test_the_blocking_client_has_the_same_verbs(tmp_path: Path) -> None:
    with running_fake_gateway(tmp_path) as fake, SyncClient(data_dir=tmp_path) as client:
        connection = client.connections.connect("local", {"key": "good"}, name="mine")
        job = client.jobs.submit("mine", CONFIG, labels={"a": "b"})
        cancelled = client.jobs.cancel(job.id)

        assert connection.name == "mine"
        assert [found.id for found in client.jobs.list()] == [job.id]
        assert client.jobs.wait(job.id).state == cancelled.state
        assert fake.state.credentials["mine"] == {"key": "good"}
