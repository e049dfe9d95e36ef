"""What the gateway's domain can ask of a platform, through one connection.

The one implementation speaks gRPC to a connector's process (`gateway.plugins.remote`); the domain does not know that.
Every method raises `GatewayError` and nothing else, and ends within its deadline.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gateway.artifacts.model import Artifact, Piece, Upload
from gateway.catalog.model import Model, Price, Resource
from gateway.jobs.model import JobConfig, ListedJob, Metric, Observation
from gateway.logs.wire import LogLine
from gateway.plugins.model import Description


@dataclass(frozen=True, slots=True, kw_only=True)
class SubmitOrder:
    """A job as it is handed to a platform."""

    job_id: str
    submission_token: str
    config: JobConfig
    resource_id: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """Lines as a platform's log gave them."""

    lines: Sequence[LogLine]
    cursor: str
    """Continues behind the last line; empty where the source has no cursors."""
    is_end: bool
    """Whether the log has ended."""
    encode: Callable[[], bytes] | None = None
    """Encodes the lines together, as they are by then, which takes a fraction of the time of one by one."""


class Platform(Protocol):
    """One account on one platform."""

    @property
    def described(self) -> Description | None:
        """What the connector is and can do, where its process runs: nobody has to be asked."""
        ...

    async def describe(self) -> Description:
        """Say what the connector is and can do; starts its process where it does not run."""
        ...

    async def verify(self) -> str:
        """Check the credentials with the platform and return whose account it is."""
        ...

    async def check(self, order: SubmitOrder) -> None:
        """Check a job and start nothing.

        Raises:
            InvalidRequest: with all violations that the connector found.

        """
        ...

    async def submit(self, order: SubmitOrder) -> str:
        """Start a job and return the platform's id of it."""
        ...

    async def find(self, submission_token: str) -> str:
        """Return the platform's id of the job that was submitted under the token; empty = there is none."""
        ...

    async def list_jobs(self) -> list[ListedJob]:
        """List the jobs that carry a submission token, whoever submitted them; those that ended may be left out."""
        ...

    async def look(self, platform_job_ids: Sequence[str]) -> Mapping[str, Observation | Exception]:
        """Look at jobs, together where the connector can; each with what was seen or why nothing was."""
        ...

    async def cancel(self, platform_job_id: str) -> None:
        """Ask for a job's end."""
        ...

    async def pause(self, platform_job_id: str) -> None:
        """Ask for a pause."""
        ...

    async def resume(self, platform_job_id: str) -> None:
        """Ask for a paused job to go on."""
        ...

    def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Read a job's log from a cursor or line on; ends without `is_end` where the stream was cut."""
        ...

    async def metrics(self, platform_job_id: str, cursor: str) -> tuple[list[Metric], str]:
        """Return the metrics behind a cursor, and the next cursor."""
        ...

    async def artifacts(self, platform_job_id: str) -> list[Artifact]:
        """List the files of a job."""
        ...

    def fetch(self, platform_job_id: str, artifact: Artifact, offset: int) -> AsyncIterator[Piece]:
        """Read a file from an offset to its end."""
        ...

    async def upload(self, upload: Upload, path: Path) -> str:
        """Put a file into the platform's registry and return its id or URL there."""
        ...

    async def resources(self) -> list[Resource]:
        """List the machines."""
        ...

    async def price(self, resource_id: str) -> Price:
        """Say what a machine costs."""
        ...

    async def search_models(self, query: str, limit: int) -> list[Model]:
        """Search the model registry."""
        ...

    async def model(self, model_id: str) -> Model:
        """Get the details of one model."""
        ...


class Platforms(Protocol):
    """Finds the platform behind a connection."""

    async def platform(self, connection_id: str) -> Platform:
        """Return the platform of a connection, started and connected.

        Raises:
            NotFound: There is no such connection.
            ConnectorDown: The connector's process does not run and could not be started in time.

        """
        ...
