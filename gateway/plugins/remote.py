"""A platform behind a connector's process: the one implementation of `gateway.platform.Platform`."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gateway.artifacts.model import Artifact, Piece, Upload
from gateway.catalog.model import Model, Price, Resource
from gateway.errors import InvalidRequest, Reason, RemoteError
from gateway.jobs.model import ListedJob, Metric, Observation
from gateway.platform import SourceBatch, SubmitOrder
from gateway.plugins import remote_files, remote_list, remote_logs
from gateway.plugins.calls import SUBMIT_LIMIT, Caller, Clients
from gateway.plugins.client import ADMIN_LIMIT
from gateway.plugins.looking import look
from gateway.plugins.model import Description
from gateway.plugins.remote_deployments import RemoteDeployments
from gateway.plugins.sessions import LoadCredentials
from gateway.plugins.traffic import Traffic
from gateway.priority import Priority
from gateway.wire.artifacts import artifact_from_proto
from gateway.wire.catalog import model_from_proto, price_from_proto, resource_from_proto
from gateway.wire.jobs import config_to_proto, metric_from_proto
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import model_pb2

MODEL_LIMIT = timedelta(seconds=10)
"""For a question to a registry of models: a person is waiting, and nothing depends on the answer."""


class RemotePlatform:
    """One account on one platform, reached through a connector's process."""

    def __init__(
        self,
        connectors: Clients,
        connector_id: str,
        connection_id: str,
        load: LoadCredentials,
        traffic: Traffic | None = None,
    ) -> None:
        """Make a platform; nothing is started or called yet.

        Args:
            connectors: Where the connector's process is found.
            connector_id: The connector.
            connection_id: The connection.
            load: Loads the connection's credentials, whenever a process does not have them.
            traffic: The connection's calls, shared by all that speak in its name.

        """
        self._caller = Caller(connectors, connector_id, connection_id, load, traffic or Traffic())
        self._connection_id = connection_id

    @property
    def deployments(self) -> RemoteDeployments:
        """What can be asked of it about deployments."""
        return RemoteDeployments(self._caller)

    @property
    def described(self) -> Description | None:
        """What the connector is and can do, where its process runs."""
        client = self._caller.running()
        return None if client is None else client.description

    async def describe(self) -> Description:
        """Say what the connector is and can do; starts its process where it does not run."""
        return self.described or (await self._caller.client()).description

    async def verify(self) -> str:
        """Check the credentials with the platform and return whose account it is."""
        request = pb.VerifyConnectionRequest(connection_id=self._connection_id)
        return (await self._caller.ask(lambda stub: stub.VerifyConnection, request)).account

    async def disconnect(self) -> None:
        """Make the present process forget the credentials; the next call opens the connection with new ones."""
        client = self._caller.running()
        if client is not None:
            request = pb.DisconnectRequest(connection_id=self._connection_id)
            await client.call(lambda stub: stub.Disconnect, request, ADMIN_LIMIT)

    async def check(self, order: SubmitOrder) -> None:
        """Check a job and start nothing.

        Raises:
            InvalidRequest: with all violations that the connector found.

        """
        try:
            await self._caller.ask(lambda stub: stub.SubmitJob, self._order(order, dry_run=True), capability="dry_run")
        except RemoteError as error:
            if error.reason is Reason.INVALID_CONFIG and error.violations:
                raise InvalidRequest(error.violations) from error
            raise

    async def submit(self, order: SubmitOrder) -> str:
        """Start a job and return the platform's id of it; never sent again when its answer is lost."""
        response = await self._caller.ask(
            lambda stub: stub.SubmitJob,
            self._order(order),
            limit=SUBMIT_LIMIT,
            is_repeatable=False,
            priority=Priority.SUBMIT,
        )
        if not response.platform_job_id:
            raise RemoteError("the connector gave no id for the job that it started", reason=Reason.BAD_UPSTREAM)
        return response.platform_job_id

    async def find(self, submission_token: str) -> str:
        """Return the platform's id of the job that was submitted under the token; empty = there is none."""
        request = pb.FindJobRequest(connection_id=self._connection_id, submission_token=submission_token)
        response = await self._caller.ask(
            lambda stub: stub.FindJob, request, capability="find_job", priority=Priority.SUBMIT
        )
        return response.platform_job_id

    async def list_jobs(self) -> list[ListedJob]:
        """List the jobs that carry a submission token, whoever submitted them; those that ended may be left out."""
        return await remote_list.list_jobs(self._caller)

    async def look(self, platform_job_ids: Sequence[str]) -> dict[str, Observation | Exception]:
        """Look at jobs, together where the connector can; each with what was seen or why nothing was."""
        return await look(self._caller, platform_job_ids)

    async def cancel(self, platform_job_id: str) -> None:
        """Ask for a job's end."""
        request = pb.CancelJobRequest(connection_id=self._connection_id, platform_job_id=platform_job_id)
        await self._caller.ask(lambda stub: stub.CancelJob, request, capability="cancel_job", priority=Priority.CANCEL)

    async def pause(self, platform_job_id: str) -> None:
        """Ask for a pause."""
        request = pb.PauseJobRequest(connection_id=self._connection_id, platform_job_id=platform_job_id)
        await self._caller.ask(lambda stub: stub.PauseJob, request, capability="pause_job", priority=Priority.SUBMIT)

    async def resume(self, platform_job_id: str) -> None:
        """Ask for a paused job to go on."""
        request = pb.ResumeJobRequest(connection_id=self._connection_id, platform_job_id=platform_job_id)
        await self._caller.ask(lambda stub: stub.ResumeJob, request, capability="resume_job", priority=Priority.SUBMIT)

    def logs(self, platform_job_id: str, *, cursor: str, after_line: int) -> AsyncGenerator[SourceBatch, None]:
        """Read a job's log from a cursor or line on; ends without `is_end` where the stream was cut."""
        return remote_logs.read(self._caller, platform_job_id, cursor, after_line)

    async def metrics(self, platform_job_id: str, cursor: str) -> tuple[list[Metric], str]:
        """Return the metrics behind a cursor, and the next cursor."""
        request = pb.GetMetricsRequest(
            connection_id=self._connection_id, platform_job_id=platform_job_id, cursor=cursor
        )
        response = await self._caller.ask(
            lambda stub: stub.GetMetrics, request, capability="get_metrics", priority=Priority.POLL
        )
        now = datetime.now(UTC)
        return [metric_from_proto(metric, received_at=now) for metric in response.metrics], response.cursor

    async def artifacts(self, platform_job_id: str) -> list[Artifact]:
        """List the files of a job."""
        request = pb.ListArtifactsRequest(connection_id=self._connection_id, platform_job_id=platform_job_id)
        response = await self._caller.ask(lambda stub: stub.ListArtifacts, request)
        return [artifact_from_proto(artifact) for artifact in response.artifacts]

    def fetch(self, platform_job_id: str, artifact: Artifact, offset: int) -> AsyncGenerator[Piece, None]:
        """Read a file from an offset to its end."""
        return remote_files.fetch(self._caller, platform_job_id, artifact, offset)

    async def upload(self, upload: Upload, path: Path) -> str:
        """Put a file into the platform's registry and return its id or URL there."""
        return await remote_files.upload(self._caller, upload, path)

    async def resources(self) -> list[Resource]:
        """List the machines."""
        request = pb.ListResourcesRequest(connection_id=self._connection_id)
        response = await self._caller.ask(lambda stub: stub.ListResources, request, priority=Priority.CATALOG)
        return [resource_from_proto(resource) for resource in response.resources]

    async def price(self, resource_id: str) -> Price:
        """Say what a machine costs."""
        request = pb.GetPricingRequest(connection_id=self._connection_id, resource_id=resource_id)
        response = await self._caller.ask(lambda stub: stub.GetPricing, request, priority=Priority.CATALOG)
        return price_from_proto(response.price, received_at=datetime.now(UTC))

    async def search_models(self, query: str, limit: int) -> list[Model]:
        """Search the model registry."""
        request = pb.SearchModelsRequest(connection_id=self._connection_id, query=query, limit=limit)
        response = await self._caller.ask(
            lambda stub: stub.SearchModels,
            request,
            limit=MODEL_LIMIT,
            capability="search_models",
            priority=Priority.CATALOG,
        )
        return [_model(model) for model in response.models]

    async def model(self, model_id: str) -> Model:
        """Get the details of one model."""
        request = pb.GetModelMetadataRequest(connection_id=self._connection_id, model_id=model_id)
        response = await self._caller.ask(
            lambda stub: stub.GetModelMetadata,
            request,
            limit=MODEL_LIMIT,
            capability="get_model_metadata",
            priority=Priority.CATALOG,
        )
        return _model(response.model)

    def _order(self, order: SubmitOrder, *, dry_run: bool = False) -> pb.SubmitJobRequest:
        return pb.SubmitJobRequest(
            connection_id=self._connection_id,
            job_id=order.job_id,
            submission_token=order.submission_token,
            config=config_to_proto(order.config),
            resource_id=order.resource_id,
            labels=order.labels,
            dry_run=dry_run,
        )


def _model(message: model_pb2.Model) -> Model:
    try:
        return model_from_proto(message)
    except ValueError as error:
        raise RemoteError(f"model {message.id!r} cannot be read: {error}", reason=Reason.BAD_UPSTREAM) from error
