"""Metrics of long trainings."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.api import job_metrics
from gateway.api.job_metrics import JobMetrics
from gateway.client.metric_cursor import MetricCursor
from gateway.jobs.ledger import Ledger
from gateway.jobs.model import JobState, Metric
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED, JOB_STATE_UNSPECIFIED
from tests.support.clocks import NOON
from tests.support.fake_platform import FakePlatform
from tests.support.job_parts import jobs
from tests.unit.jobs.conftest import clock, ledger  # noqa: F401 - fixtures
from tests.unit.jobs.test_states import JOB

pytestmark = pytest.mark.unit


def points(count: int, name: str = "loss") -> list[Metric]:
    return [Metric(name=name, step=step, value=1.0, epoch=0.5, time=NOON, attempt=1) for step in range(count)]


async def test_more_points_than_a_message_holds_come_in_several_and_the_last_has_the_state(
    ledger: Ledger,  # noqa: F811 - a fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_metrics, "MESSAGE_POINTS", 100)
    await ledger.add(replace(JOB, state=JobState.SUCCEEDED))
    await ledger.add_metrics(JOB.id, points(250))
    async with jobs(ledger, FakePlatform(), tmp_path) as made:
        request = pb.StreamMetricsRequest(job_id=JOB.id)
        messages = [message async for message in JobMetrics(made.jobs).stream(request)]
    assert [len(message.metrics) for message in messages] == [100, 100, 50]
    assert [message.final_state for message in messages] == [JOB_STATE_UNSPECIFIED] * 2 + [JOB_STATE_SUCCEEDED]
    # A client that was cut in between takes the points that it has out of every message of the next stream.
    cursor = MetricCursor()
    seen = [point.step for point in cursor.accept(messages[0]).metrics]
    cursor.accept(messages[1])
    cursor.reopened()
    assert [len(cursor.accept(message).metrics) for message in messages] == [0, 0, 50]
    assert seen == list(range(100))


def test_the_largest_message_of_points_stays_below_what_every_client_accepts() -> None:
    widest = Metric(name="é" * 50, step=2**40, value=1e-9, epoch=1e-9, time=NOON, attempt=1000)
    message = job_metrics._message(JOB, [widest] * job_metrics.MESSAGE_POINTS, is_last=False)
    assert message.ByteSize() < 4 * 1024 * 1024


async def test_many_names_share_one_answer(
    ledger: Ledger,  # noqa: F811 - a fixture
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_metrics, "MESSAGE_POINTS", 100)
    await ledger.add(JOB)
    for number in range(10):
        await ledger.add_metrics(JOB.id, points(50, f"name-{number}"))
    async with jobs(ledger, FakePlatform(), tmp_path) as made:
        answer = await JobMetrics(made.jobs).get(pb.GetMetricsRequest(job_id=JOB.id, max_points=1_000_000))
    kept = Counter(point.name for point in answer.metrics)
    assert len(kept) == 10
    assert max(kept.values()) <= 10
