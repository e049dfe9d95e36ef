"""What `peftstudio-connector new` makes, used as its README says: its tests, `check`, and a job in a gateway."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from google.protobuf.json_format import ParseDict

from connector_sdk.testing import fake_platform
from peftstudio.gateway.v1 import (
    artifacts_service_pb2,
    connections_service_pb2,
    jobs_service_pb2,
)
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from peftstudio.job.v1.training_config_pb2 import TrainingConfig
from tests.polyglot.conftest import LIMIT
from tests.process.gateway.conftest import ended, follow
from tests.support.gateway_process import Stubs, gateway_process
from tests.support.polyglot import need_go, need_node

COMMAND_SECONDS = 300
"""One command of a README: Go compiles gRPC on a slow machine, npm has a slow line, `check` kills and freezes."""
pytestmark = [pytest.mark.polyglot, pytest.mark.timeout(2 * COMMAND_SECONDS)]

NAME = "my-cloud"
RUN = re.compile(r"^(npm|make|pytest|peftstudio-connector check)\b")
"""What a README says is run in the project; the rest installs, or is done below, in a gateway of the test's own."""
BIN = Path(sys.executable).parent


def need_nothing() -> Mapping[str, str]:
    return os.environ


def need_node_here() -> Mapping[str, str]:
    need_node()
    return {**os.environ, "npm_config_prefer_offline": "true", "npm_config_audit": "false", "npm_config_fund": "false"}


NEEDS: dict[str, Callable[[], Mapping[str, str]]] = {"python": need_nothing, "node": need_node_here, "go": need_go}


def run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a line of a README, as an author's shell does, and give what it printed."""
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**environment, "PATH": f"{BIN}:{environment['PATH']}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


def commands(readme: str) -> list[str]:
    """Give the lines of a README that are run in the project, in their order."""
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if RUN.match(line)]


@asynccontextmanager
async def platform_of(language: str, project: Path) -> AsyncIterator[dict[str, str]]:
    """Give the credentials that a connection is opened with: the new connector of Python has a platform elsewhere."""
    if language != "python":
        yield {"api_key": "any-eight-characters"}
        return
    async with fake_platform() as platform:
        (project / "credentials.json").write_text(json.dumps(platform.credentials))
        yield platform.credentials


@pytest.mark.parametrize("language", NEEDS)
async def test_a_new_project_passes_all_that_its_readme_says_and_runs_a_job(language: str, tmp_path: Path) -> None:
    environment = NEEDS[language]()
    assert "Next: cd" in run(f"peftstudio-connector new {NAME} --language {language}", tmp_path, environment)
    project = tmp_path / NAME
    async with platform_of(language, project) as credentials:
        printed = [
            await asyncio.to_thread(run, command, project, environment)
            for command in commands((project / "README.md").read_text())
        ]
        checks = [text for text in printed if " conforms: " in text]
        assert checks, printed
        assert all(", 0 failed, 0 advised, " in text for text in checks)
        async with (
            gateway_process(tmp_path / "data", "--plugins", str(project)) as gateway,
            gateway.connected() as stubs,
        ):
            request = connections_service_pb2.ConnectRequest(connector_id=NAME, credentials=credentials)
            await stubs.connections.Connect(request, timeout=LIMIT)
            wish = json.loads(next(project.rglob("job.json")).read_text())["short"]
            await runs_a_job(stubs, ParseDict(wish, TrainingConfig()))


async def runs_a_job(stubs: Stubs, config: TrainingConfig) -> None:
    """Run a job to its end, and see that its log and its files are there."""
    submitted = jobs_service_pb2.SubmitJobRequest(connection_id=NAME, config=config)
    job_id = (await stubs.jobs.SubmitJob(submitted, timeout=LIMIT)).job.id
    assert len(await follow(stubs, job_id)) > 2
    assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
    listed = artifacts_service_pb2.ListArtifactsRequest(job_id=job_id)
    artifact = (await stubs.artifacts.ListArtifacts(listed, timeout=LIMIT)).artifacts[0]
    data, digest = b"", ""
    fetched = artifacts_service_pb2.FetchArtifactRequest(job_id=job_id, artifact_id=artifact.id)
    async for message in stubs.artifacts.FetchArtifact(fetched, timeout=LIMIT):
        data += message.chunk.data
        digest = message.artifact.sha256 or digest
    assert (len(data), hashlib.sha256(data).hexdigest()) == (artifact.size, digest)
    assert data
