"""A look over the files of a job that has just ended: a success without its adapter must not be a silent one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from pathlib import PurePosixPath

from gateway.artifacts.adapter_check import ADAPTER_CONFIG, MOST_BYTES, differences
from gateway.artifacts.model import Artifact, ArtifactKind, ArtifactState
from gateway.artifacts.records import Jobs
from gateway.artifacts.service import Artifacts
from gateway.errors import GatewayError
from gateway.jobs.model import Job

_WRONG = frozenset({ArtifactState.MISSING, ArtifactState.CORRUPT})


class Review:
    """Say what is wrong with jobs' files."""

    def __init__(self, artifacts: Artifacts, jobs: Jobs) -> None:
        self._artifacts = artifacts
        self._jobs = jobs

    async def doubts(self, job_id: str) -> list[str]:
        """Have the files of a job listed, and say what is wrong with them; empty = nothing is seen to be.

        Raises:
            GatewayError: Its platform cannot be asked.
        """
        job, files = await self._jobs.get(job_id), await self._artifacts.list(job_id)
        if not files:
            return ["the training left no files, so that there is nothing to fetch"]
        told = [file for file in files if PurePosixPath(file.path).name == ADAPTER_CONFIG and file.state not in _WRONG]
        # Those of checkpoints lie deeper.
        config = min(told, key=lambda file: file.path.count("/"), default=None)
        return [*_damages(files), *(await self._differences(job, config) if config else [])]

    async def _differences(self, job: Job, config: Artifact) -> list[str]:
        data = b""
        try:
            download = await self._artifacts.fetch(job.id, config.id, length=MOST_BYTES)
            async with aclosing(download.pieces) as pieces:
                async for piece in pieces:
                    data += piece.data
        except GatewayError as error:
            return [f"its file {config.path} cannot be fetched: {error.message}"]
        return differences(job.config, data)


def _damages(files: Sequence[Artifact]) -> Iterator[str]:
    for file in files:
        if file.state in _WRONG:
            yield f"its file {file.path} is {file.state.lower()}"
        elif file.kind is ArtifactKind.ADAPTER and file.size == 0:
            yield f"its file {file.path} is empty"
