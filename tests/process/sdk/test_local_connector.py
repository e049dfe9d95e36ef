"""The local connector over the wire, with a program that stands in for the trainer."""

import asyncio
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from google.rpc.error_details_pb2 import BadRequest

from connector_sdk.testing import ConnectorHarness
from connectors.local import connector, shim
from connectors.local.connector import LocalConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import artifact_pb2, job_state_pb2, log_pb2
from tests.support.sdk import training_stub
from tests.support.sdk.files import path_exists
from tests.support.sdk.rpc import SECONDS, failure, submission

pytestmark = pytest.mark.process

WAIT_SECONDS = 30.0  # for a job, on a busy machine


class StubbedConnector(LocalConnector):
    """Trains with the stub."""

    trainer = (sys.executable, str(training_stub.__file__))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    return folder


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    path = tmp_path / "data.jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n' * 3)
    return path


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[ConnectorHarness]:
    async with ConnectorHarness(StubbedConnector, work_dir=tmp_path / "work") as running:
        await running.connect()
        yield running


def _submission(model: Path, dataset: Path, token: str = "token-1", **options: bool) -> pb.SubmitJobRequest:
    request = submission(base_model=str(model), dataset_path=str(dataset))
    request.submission_token = token
    request.config.options.update(options)
    return request


def _job(job_id: str = "token-1") -> dict[str, Any]:
    return {"connection_id": "c1", "platform_job_id": job_id}


async def _state(harness: ConnectorHarness, job_id: str = "token-1") -> job_state_pb2.JobObservation:
    request = pb.GetJobStatusRequest(connection_id="c1", platform_job_id=job_id)
    return (await harness.stub.GetJobStatus(request, timeout=SECONDS)).observation


async def _until(harness: ConnectorHarness, state: job_state_pb2.JobState.ValueType, job_id: str = "token-1") -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while (await _state(harness, job_id)).state != state:  # noqa: ASYNC110 - the job is a process
            await asyncio.sleep(0.02)


async def _log(harness: ConnectorHarness, cursor: str = "") -> list[pb.StreamLogsResponse]:
    request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="token-1", cursor=cursor)
    return [message async for message in harness.stub.StreamLogs(request, timeout=WAIT_SECONDS)]


def _texts(messages: list[pb.StreamLogsResponse]) -> list[str]:
    return [line.text for message in messages for line in message.lines]


async def test_a_job_runs_to_its_end_with_log_metrics_and_files(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    submitted = await harness.stub.SubmitJob(_submission(model, dataset), timeout=SECONDS)
    assert submitted.platform_job_id == "token-1"
    messages = await _log(harness)
    assert messages[-1].end
    assert (await _state(harness)).state == job_state_pb2.JOB_STATE_SUCCEEDED
    lines = [line for message in messages for line in message.lines]
    printed = [line.text for line in lines if line.stream == log_pb2.LOG_STREAM_STDOUT]
    assert printed == ["line 0", "line 1", "line 2", "the last line has no end"]
    assert [line.text for line in lines if line.stream == log_pb2.LOG_STREAM_STDERR] == ["a warning"]
    metrics = await harness.stub.GetMetrics(
        pb.GetMetricsRequest(connection_id="c1", platform_job_id="token-1"), timeout=SECONDS
    )
    assert [(point.name, point.step) for point in metrics.metrics] == [("loss", 1), ("loss", 2)]
    request = pb.ListArtifactsRequest(connection_id="c1", platform_job_id="token-1")
    listed = (await harness.stub.ListArtifacts(request, timeout=SECONDS)).artifacts
    assert [artifact.path for artifact in listed] == ["adapter_model.safetensors", "manifest.json"]


async def test_log_and_metrics_continue_behind_their_cursors(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    await harness.stub.SubmitJob(_submission(model, dataset), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_SUCCEEDED)
    messages = await _log(harness)
    behind_two_lines = f"{len('line 0') * 2 + 2}:0"
    assert _texts(await _log(harness, behind_two_lines)) == _texts(messages)[2:]
    cursor = next(message.cursor for message in reversed(messages) if message.cursor)
    assert _texts(await _log(harness, cursor)) == []
    request = pb.GetMetricsRequest(connection_id="c1", platform_job_id="token-1")
    request.cursor = (await harness.stub.GetMetrics(request, timeout=SECONDS)).cursor
    assert not (await harness.stub.GetMetrics(request, timeout=SECONDS)).metrics


async def test_a_cursor_that_the_log_does_not_reach_has_expired(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    await harness.stub.SubmitJob(_submission(model, dataset), timeout=SECONDS)
    for cursor in ("999999:0", "nonsense"):
        request = pb.StreamLogsRequest(connection_id="c1", platform_job_id="token-1", cursor=cursor)
        assert (await failure(harness.stub.StreamLogs(request, timeout=SECONDS))).reason == "CURSOR_EXPIRED"


async def test_a_file_is_fetched_from_any_offset_and_nothing_else_is(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    await harness.stub.SubmitJob(_submission(model, dataset), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_SUCCEEDED)
    request = pb.FetchArtifactRequest(artifact_id="adapter_model.safetensors", offset=2, **_job())
    got = b"".join([m.chunk.data async for m in harness.stub.FetchArtifact(request, timeout=SECONDS)])
    assert got == training_stub.WEIGHTS[2:]
    for evil in ("../spec.json", "/etc/passwd", "none"):
        request = pb.FetchArtifactRequest(artifact_id=evil, **_job())
        assert (await failure(harness.stub.FetchArtifact(request, timeout=SECONDS))).reason == "NOT_FOUND"


async def test_the_same_token_is_the_same_job_also_for_another_process_and_without_its_data(
    harness: ConnectorHarness, model: Path, dataset: Path, tmp_path: Path
) -> None:
    request = _submission(model, dataset)
    await harness.stub.SubmitJob(request, timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_SUCCEEDED)
    await asyncio.to_thread(dataset.unlink)
    async with ConnectorHarness(StubbedConnector, work_dir=tmp_path / "work") as other:
        await other.connect()
        assert (await other.stub.SubmitJob(request, timeout=SECONDS)).platform_job_id == "token-1"
        assert (await _state(other)).state == job_state_pb2.JOB_STATE_SUCCEEDED
        find = pb.FindJobRequest(connection_id="c1", submission_token="token-1")
        assert (await other.stub.FindJob(find, timeout=SECONDS)).platform_job_id == "token-1"
        find.submission_token = "other"
        assert not (await other.stub.FindJob(find, timeout=SECONDS)).platform_job_id


async def test_a_job_is_paused_resumed_and_looked_at_among_others(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    await harness.stub.SubmitJob(_submission(model, dataset, wait=True), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_RUNNING)
    await harness.stub.PauseJob(pb.PauseJobRequest(connection_id="c1", platform_job_id="token-1"), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_PAUSED)
    request = pb.BatchGetJobStatusRequest(connection_id="c1", platform_job_ids=["token-1", "none"])
    seen = (await harness.stub.BatchGetJobStatus(request, timeout=SECONDS)).observations
    assert {job_id: one.state for job_id, one in seen.items()} == {"token-1": job_state_pb2.JOB_STATE_PAUSED}
    await harness.stub.ResumeJob(pb.ResumeJobRequest(connection_id="c1", platform_job_id="token-1"), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_SUCCEEDED)


async def test_a_cancelled_job_ends_and_the_next_in_line_starts_by_itself(
    harness: ConnectorHarness, model: Path, dataset: Path, tmp_path: Path
) -> None:
    await harness.stub.SubmitJob(_submission(model, dataset, wait=True), timeout=SECONDS)
    await harness.stub.SubmitJob(_submission(model, dataset, "token-2"), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_RUNNING)
    await harness.stub.CancelJob(pb.CancelJobRequest(connection_id="c1", platform_job_id="token-1"), timeout=SECONDS)
    await path_exists(tmp_path / "work/jobs/token-2/output/manifest.json", WAIT_SECONDS)
    assert (await _state(harness)).state == job_state_pb2.JOB_STATE_CANCELLED
    await harness.stub.CancelJob(pb.CancelJobRequest(connection_id="c1", platform_job_id="token-1"), timeout=SECONDS)


@pytest.mark.parametrize("dry_run", [True, False])
async def test_everything_that_is_wrong_is_named_at_once_and_nothing_starts(
    harness: ConnectorHarness, tmp_path: Path, dry_run: bool
) -> None:
    bad = tmp_path / "bad.jsonl"
    await asyncio.to_thread(bad.write_text, '{"text": "fine"}\nbroken\n')
    request = _submission(tmp_path / "no-model", bad)
    request.dry_run = dry_run
    request.config.lr_scheduler = "magic"
    request.config.quantization = "int8"
    failed = await failure(harness.stub.SubmitJob(request, timeout=SECONDS))
    said = {item.field: item.description for item in failed.get(BadRequest).field_violations}
    assert set(said) == {"config.base_model", "config.dataset_path", "config.lr_scheduler", "config.quantization"}
    assert "line 2" in said["config.dataset_path"]
    assert (await failure(_state(harness))).reason == "NOT_FOUND"


async def test_an_unknown_algorithm_and_resource_are_refused(
    harness: ConnectorHarness, model: Path, dataset: Path
) -> None:
    request = _submission(model, dataset)
    request.resource_id = "gpu-77"
    assert "gpu-77" in (await failure(harness.stub.SubmitJob(request, timeout=SECONDS))).message
    request.config.algorithm = "magic"
    assert "magic" in (await failure(harness.stub.SubmitJob(request, timeout=SECONDS))).message


async def test_jobs_that_have_not_ended_are_listed_with_their_tokens_page_by_page(
    harness: ConnectorHarness, model: Path, dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector, "LIST_PAGE", 2)
    tokens = [f"peft-0a1b2c3d-{number:016}" for number in range(5)]
    for token in tokens:
        await harness.stub.SubmitJob(_submission(model, dataset, token, wait=True), timeout=SECONDS)
    gone = pb.CancelJobRequest(connection_id="c1", platform_job_id=tokens[3])
    await harness.stub.CancelJob(gone, timeout=SECONDS)
    found: list[pb.ListedJob] = []
    sizes: list[int] = []
    page_cursor = ""
    while page_cursor or not sizes:
        request = pb.ListJobsRequest(connection_id="c1", cursor=page_cursor)
        page = await harness.stub.ListJobs(request, timeout=SECONDS)
        found += page.jobs
        sizes.append(len(page.jobs))
        page_cursor = page.next_cursor
    assert [(job.platform_job_id, job.submission_token) for job in found] == [
        (token, token) for token in tokens if token != tokens[3]
    ]
    assert sizes == [2, 1, 1]
    assert {job.observation.state for job in found} <= {
        job_state_pb2.JOB_STATE_QUEUED,
        job_state_pb2.JOB_STATE_PROVISIONING,
        job_state_pb2.JOB_STATE_RUNNING,
    }
    assert all(job.created_at.seconds > 0 for job in found)
    described = await harness.stub.Describe(pb.DescribeRequest(), timeout=SECONDS)
    assert "list_jobs" in described.capabilities
    for token in reversed(tokens):
        await harness.stub.CancelJob(pb.CancelJobRequest(connection_id="c1", platform_job_id=token), timeout=SECONDS)
    await _until(harness, job_state_pb2.JOB_STATE_CANCELLED, tokens[0])


async def test_an_unknown_job_is_not_found(harness: ConnectorHarness) -> None:
    for job_id in ("none", "../../etc", ""):
        assert (await failure(_state(harness, job_id))).reason == "NOT_FOUND"


async def test_this_machine_is_listed_and_costs_nothing(harness: ConnectorHarness) -> None:
    listed = await harness.stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
    cpu = next(resource for resource in listed.resources if resource.id == "cpu")
    assert cpu.cpu_cores == os.cpu_count()
    pricing = pb.GetPricingRequest(connection_id="c1", resource_id="cpu")
    assert (await harness.stub.GetPricing(pricing, timeout=SECONDS)).price.not_priced


async def test_an_upload_lands_in_the_registry(harness: ConnectorHarness, tmp_path: Path) -> None:
    header = pb.UploadHeader(
        connection_id="c1", name="a.safetensors", size=3, sha256=hashlib.sha256(b"abc").hexdigest()
    )
    header.metadata.update({"rank": 8})
    chunk = pb.UploadArtifactRequest(chunk=artifact_pb2.Chunk(data=b"abc"))
    parts = [pb.UploadArtifactRequest(header=header), chunk]
    assert (await harness.stub.UploadArtifact(iter(parts), timeout=SECONDS)).artifact_id == "a.safetensors"
    registry = tmp_path / "work" / "registry"
    kept = {path.name: path.read_bytes() for path in registry.iterdir()}
    assert kept["a.safetensors"] == b"abc"
    assert json.loads(kept["a.safetensors.metadata.json"]) == {"rank": 8}


@pytest.mark.skipif(sys.platform == "darwin", reason="memory is limited on Linux alone")
def test_a_training_is_not_bound_by_the_connectors_memory_limit(tmp_path: Path) -> None:
    limited = 'ulimit -S -v 2000000; exec "$@"'
    started = [sys.executable, "-I", "-S", str(shim.__file__), str(tmp_path), "1", "--"]
    ended = subprocess.run(
        ["sh", "-c", limited, "sh", *started, "sh", "-c", "ulimit -S -v"],
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=True,
    )
    assert ended.stdout.strip() == subprocess.check_output(["sh", "-c", "ulimit -H -v"], text=True).strip()
