"""A job as its platform gets it: with uploaded data where the connector can read it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from gateway.errors import InvalidRequest, NotFound
from gateway.jobs.model import Job, JobConfig
from gateway.platform import SubmitOrder

UPLOAD_SCHEME = "upload://"


class DatasetShelf(Protocol):
    """Where uploaded datasets are kept."""

    async def resolve(self, uri: str) -> Path:
        """Return the file of an uploaded dataset.

        Raises:
            NotFound: There is none.

        """
        ...


class Orders:
    """Make orders of jobs."""

    def __init__(self, shelf: DatasetShelf) -> None:
        self._shelf = shelf

    async def make(self, job: Job) -> SubmitOrder:
        """Return what the platform is told of a job.

        Raises:
            InvalidRequest: The dataset was never uploaded, or is gone.

        """
        return replace(self.unstaged(job), config=await self._stage(job.config))

    def unstaged(self, job: Job) -> SubmitOrder:
        """Return the same with the dataset as the user named it: enough to have all the rest checked."""
        return SubmitOrder(
            job_id=job.id,
            submission_token=job.submission_token,
            config=job.config,
            resource_id=job.resource_id,
            labels=job.labels,
        )

    async def _stage(self, config: JobConfig) -> JobConfig:
        if not config.dataset_uri.startswith(UPLOAD_SCHEME):
            return config
        try:
            path = await self._shelf.resolve(config.dataset_uri)
        except NotFound as error:
            text = f"{config.dataset_uri} was never uploaded to this gateway; `peftstudio datasets list` shows what was"
            raise InvalidRequest.of("config.dataset_path", text) from error
        uri = path.as_uri()
        document = json.dumps({**json.loads(config.document), "dataset_path": uri}, sort_keys=True)
        return replace(config, dataset_uri=uri, document=document)
