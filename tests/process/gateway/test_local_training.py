"""A real training through the gateway, with everything killed on the way."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    connections_service_pb2,
    connectors_service_pb2,
    jobs_service_pb2,
)
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_PAUSED, JOB_STATE_RUNNING, JOB_STATE_SUCCEEDED, JobState
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.process.gateway.conftest import ended, eventually, follow
from tests.support.gateway_process import GatewayProcess, Stubs
from tests.support.signals import send
from tests.support.tiny_model import make_tiny_model, pair_rows, write_jsonl

# A cold import of torch takes a minute on a busy machine.
pytestmark = [pytest.mark.process, pytest.mark.timeout(400)]
START_SECONDS = 180

STEPS = 200


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model"))


async def submit(stubs: Stubs, model: Path, data: Path) -> str:
    await stubs.connections.Connect(connections_service_pb2.ConnectRequest(connector_id="local"), timeout=30)
    config = TrainingConfig(
        base_model=str(model), dataset_path=str(data), max_steps=STEPS, batch_size=2, checkpoint_steps=20
    )
    request = jobs_service_pb2.SubmitJobRequest(connection_id="local", config=config)
    return (await stubs.jobs.SubmitJob(request, timeout=30)).job.id


async def reaches(stubs: Stubs, job_id: str, state: JobState.ValueType, step: int = 0) -> None:
    """Wait until the job is in a state and has come to a step."""

    async def look() -> bool:
        job = (await stubs.jobs.GetJob(jobs_service_pb2.GetJobRequest(job_id=job_id), timeout=10)).job
        return job.state == state and job.progress.step >= step

    await eventually(look, seconds=START_SECONDS)


async def kill_connector(stubs: Stubs) -> None:
    request = connectors_service_pb2.GetConnectorRequest(connector_id="local")
    send((await stubs.connectors.GetConnector(request, timeout=30)).connector.pid, signal.SIGKILL)


async def test_a_training_outlives_its_connector_and_its_gateway_and_its_log_has_no_hole(
    gateway: GatewayProcess, model: Path, tmp_path: Path
) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", pair_rows())
    async with gateway.connected() as stubs:
        job_id = await submit(stubs, model, data)
        await reaches(stubs, job_id, JOB_STATE_RUNNING, step=1)
        await kill_connector(stubs)
        await reaches(stubs, job_id, JOB_STATE_RUNNING, step=20)
        await gateway.kill()
    await gateway.start()
    async with gateway.connected() as stubs:
        lines = await follow(stubs, job_id)
        assert [seq for seq, _ in lines] == list(range(1, len(lines) + 1))
        steps = [int(text.split("/")[0].split()[1]) for _, text in lines if text.startswith("step ")]
        assert steps == list(range(1, STEPS + 1))
        job = await ended(stubs, job_id)
        assert (job.state, job.exit_code, job.attempt) == (JOB_STATE_SUCCEEDED, 0, 1)
        # A real adapter, as it was asked for, raises no doubt.
        assert "asked for" not in job.message
        assert "files" not in job.message
        metrics = await stubs.jobs.GetMetrics(
            jobs_service_pb2.GetMetricsRequest(job_id=job_id, names=["loss"]), timeout=10
        )
        assert [point.step for point in metrics.metrics] == list(range(1, STEPS + 1))
        files = await stubs.artifacts.ListArtifacts(
            artifacts_service_pb2.ListArtifactsRequest(job_id=job_id), timeout=10
        )
        assert {"adapter_config.json", "adapter_model.safetensors"} <= {file.path for file in files.artifacts}


async def test_a_paused_training_goes_on_where_it_was(gateway: GatewayProcess, model: Path, tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "data.jsonl", pair_rows())
    async with gateway.connected() as stubs:
        job_id = await submit(stubs, model, data)
        await reaches(stubs, job_id, JOB_STATE_RUNNING, step=1)
        await stubs.jobs.PauseJob(jobs_service_pb2.PauseJobRequest(job_id=job_id), timeout=30)
        await reaches(stubs, job_id, JOB_STATE_PAUSED)
        await stubs.jobs.ResumeJob(jobs_service_pb2.ResumeJobRequest(job_id=job_id), timeout=30)
        lines = await follow(stubs, job_id)
        steps = [int(text.split("/")[0].split()[1]) for _, text in lines if text.startswith("step ")]
        assert steps == list(range(1, STEPS + 1))
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
