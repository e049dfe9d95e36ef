"""Everything that the contract has, done well, but for the faults."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from collections.abc import AsyncIterator
from typing import NoReturn

import grpc
from google.protobuf import json_format

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1 import connector_service_pb2_grpc as pb_grpc
from peftstudio.job.v1.artifact_pb2 import Artifact, Chunk
from peftstudio.job.v1.log_pb2 import LogLine
from peftstudio.job.v1.metric_pb2 import Metric
from peftstudio.job.v1.resource_pb2 import Price, Resource
from tests.support.conforming.failing import Context, fail
from tests.support.conforming.faults import FAULTS
from tests.support.conforming.platform import FILE, SHA256, Platform

BATCH = 4
CHUNK = 50_000
ALIVE_SECONDS = 2.0
PROOF = "x-connector-token"
NOT_FOUND = grpc.StatusCode.NOT_FOUND
INVALID = grpc.StatusCode.INVALID_ARGUMENT
CREDENTIALS = {"properties": {"api_key": {"type": "string", "secret": True}}, "required": ["api_key"]}
OPTIONS = {"type": "object", "properties": {"gpu": {"type": "string", "enum": ["a", "b"]}}}
CAPABILITIES = ["cancel_job", "find_job", "list_jobs", "get_metrics", "batch_get_job_status", "dry_run"]


class Servicer(pb_grpc.ConnectorServiceServicer):
    """Serves one platform for any number of connections."""

    def __init__(self, token: str, platform: Platform) -> None:
        self.token = token
        self.platform = platform
        self.open: set[str] = set()
        self.draining = asyncio.Event()
        self.stubborn: set[asyncio.Task[None]] = set()
        self.duplicates = 0

    async def greet(self, context: Context, connection: str | None = None, job: str | None = None) -> None:
        """Prove who this is, and end calls about what is not there."""
        is_error = connection is not None and connection not in self.open
        if not (is_error and "no-proof-on-errors" in FAULTS):
            token = "somebody" if "wrong-proof" in FAULTS else self.token
            await context.send_initial_metadata(((PROOF, token),))
        if is_error:
            reason = "NOT_READY" if "not-connected-otherwise" in FAULTS else "NOT_CONNECTED"
            await fail(context, grpc.StatusCode.FAILED_PRECONDITION, reason, "connect first")
        if job is not None and not self.platform.knows(job):
            if "crashes-on-emoji" in FAULTS and any(ord(letter) > 0xFFFF for letter in job):
                os._exit(1)
            if "answers-for-unknown" not in FAULTS:
                await fail(context, NOT_FOUND, "NOT_FOUND", f"There is no job {job[:40]}; list what there is.")

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        await self.greet(context)
        said = pb.DescribeResponse(
            name="conforming",
            display_name="Conforming",
            description="Does what is asked.",
            version="1.0.0",
            sdk="none/1",
            features=["training", "registry"],
            capabilities=[*CAPABILITIES, "pause_job"] if "claims-too-much" in FAULTS else CAPABILITIES,
            log_source=pb.LOG_SOURCE_CURSOR,
            submit_safety=pb.SUBMIT_SAFETY_KEYED,
        )
        kind = "record" if "strange-schema" in FAULTS else "object"
        json_format.ParseDict({**CREDENTIALS, "type": kind}, said.credentials_schema)
        json_format.ParseDict(OPTIONS, said.options_schema)
        return said

    async def Connect(self, request: pb.ConnectRequest, context: Context) -> pb.ConnectResponse:
        await self.greet(context)
        key = request.credentials.get("api_key", "")
        if "prints-credentials" in FAULTS:
            print("connecting with", dict(request.credentials), flush=True)
        if "stores-credentials" in FAULTS:
            (self.platform.folder.parent / "session.json").write_text(key)
        if not key:
            await fail(context, INVALID, "INVALID_CONFIG", "api_key is missing", "credentials.api_key")
        if not key.startswith("good-"):
            words = f"The platform refuses {key}." if "leaks-credentials" in FAULTS else "The key is not accepted."
            await fail(context, grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_REJECTED", words)
        self.open.add(request.connection_id)
        return pb.ConnectResponse(account="tester")

    async def Disconnect(self, request: pb.DisconnectRequest, context: Context) -> pb.DisconnectResponse:
        await self.greet(context, request.connection_id if "closes-once" in FAULTS else None)
        self.open.discard(request.connection_id)
        return pb.DisconnectResponse()

    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, context: Context
    ) -> pb.VerifyConnectionResponse:
        await self.greet(context, request.connection_id)
        return pb.VerifyConnectionResponse(account="tester")

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> pb.SubmitJobResponse:
        await self.greet(context, request.connection_id)
        config = request.config
        numbers = [name for name in ("rank", "learning_rate") if config.HasField(name) and getattr(config, name) <= 0]
        if numbers:
            await fail(context, INVALID, "INVALID_CONFIG", "That cannot be trained.", *numbers)
        if request.dry_run and "starts-dry" not in FAULTS:
            return pb.SubmitJobResponse()
        self.duplicates += "starts-twice" in FAULTS
        token = request.submission_token + (f"-{self.duplicates}" if "starts-twice" in FAULTS else "")
        job = self.platform.submit(token, is_long=request.config.base_model == "long")
        return pb.SubmitJobResponse(platform_job_id=job)

    async def FindJob(self, request: pb.FindJobRequest, context: Context) -> pb.FindJobResponse:
        await self.greet(context, request.connection_id)
        return pb.FindJobResponse(platform_job_id=self.platform.find(request.submission_token))

    async def ListJobs(self, request: pb.ListJobsRequest, context: Context) -> pb.ListJobsResponse:
        await self.greet(context, request.connection_id)
        listed = [
            pb.ListedJob(
                platform_job_id=job, submission_token=job.removesuffix("-long"), observation=self.platform.observe(job)
            )
            for job in self.platform.jobs()
        ]
        return pb.ListJobsResponse(jobs=listed)

    async def GetJobStatus(self, request: pb.GetJobStatusRequest, context: Context) -> pb.GetJobStatusResponse:
        await self.greet(context, request.connection_id, request.platform_job_id)
        return pb.GetJobStatusResponse(observation=self.platform.observe(request.platform_job_id))

    async def BatchGetJobStatus(
        self, request: pb.BatchGetJobStatusRequest, context: Context
    ) -> pb.BatchGetJobStatusResponse:
        await self.greet(context, request.connection_id)
        known = [job for job in request.platform_job_ids if self.platform.knows(job)]
        return pb.BatchGetJobStatusResponse(observations={job: self.platform.observe(job) for job in known})

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        await self.greet(context, request.connection_id, request.platform_job_id)
        if "cancels-once" in FAULTS and not self.platform.runs(request.platform_job_id):
            await fail(context, grpc.StatusCode.FAILED_PRECONDITION, "WRONG_STATE", "It has ended.")
        self.platform.cancel(request.platform_job_id)
        return pb.CancelJobResponse()

    async def PauseJob(self, request: pb.PauseJobRequest, context: Context) -> pb.PauseJobResponse:
        await self.greet(context, request.connection_id)
        if "hides-pause" not in FAULTS:
            await fail(context, grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED", "pause_job is not offered here.")
        return pb.PauseJobResponse()

    async def ResumeJob(self, request: pb.ResumeJobRequest, context: Context) -> pb.ResumeJobResponse:
        await self.greet(context, request.connection_id)
        words = "" if "names-nothing" in FAULTS else "resume_job "
        await fail(context, grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED", f"{words}is not offered here.")

    async def SearchModels(self, request: pb.SearchModelsRequest, context: Context) -> pb.SearchModelsResponse:
        return await self._not_offered(context, request.connection_id, "search_models")

    async def GetModelMetadata(
        self, request: pb.GetModelMetadataRequest, context: Context
    ) -> pb.GetModelMetadataResponse:
        return await self._not_offered(context, request.connection_id, "get_model_metadata")

    async def DeployModel(self, request: pb.DeployModelRequest, context: Context) -> pb.DeployModelResponse:
        return await self._not_offered(context, request.connection_id, "deploy_model")

    async def StopDeployment(self, request: pb.StopDeploymentRequest, context: Context) -> pb.StopDeploymentResponse:
        return await self._not_offered(context, request.connection_id, "stop_deployment")

    async def GetEndpointUrl(self, request: pb.GetEndpointUrlRequest, context: Context) -> pb.GetEndpointUrlResponse:
        return await self._not_offered(context, request.connection_id, "get_endpoint_url")

    async def InvokeEndpoint(self, request: pb.InvokeEndpointRequest, context: Context) -> pb.InvokeEndpointResponse:
        return await self._not_offered(context, request.connection_id, "invoke_endpoint")

    async def GetDeploymentMetrics(
        self, request: pb.GetDeploymentMetricsRequest, context: Context
    ) -> pb.GetDeploymentMetricsResponse:
        return await self._not_offered(context, request.connection_id, "get_deployment_metrics")

    async def UpdateDeployment(
        self, request: pb.UpdateDeploymentRequest, context: Context
    ) -> pb.UpdateDeploymentResponse:
        return await self._not_offered(context, request.connection_id, "update_deployment")

    async def _not_offered(self, context: Context, connection_id: str, capability: str) -> NoReturn:
        await self.greet(context, connection_id)
        await fail(context, grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED", f"{capability} is not offered here.")

    async def StreamLogs(self, request: pb.StreamLogsRequest, context: Context) -> AsyncIterator[pb.StreamLogsResponse]:
        if "ignores-cancellation" in FAULTS:
            self.stubborn.add(asyncio.create_task(self._until_ended(request.platform_job_id)))
        await self.greet(context, request.connection_id, request.platform_job_id)
        if not (request.cursor or "0").isdigit():
            await fail(context, grpc.StatusCode.OUT_OF_RANGE, "CURSOR_EXPIRED", "The cursor is not known.")
        if "keeps-files" in FAULTS:
            os.open(os.devnull, os.O_RDONLY)
        position, lines = int(request.cursor or 0), self.platform.lines(request.platform_job_id)
        if "resumes-late" in FAULTS and position:
            position += 1
        if "unordered" in FAULTS:
            lines[5], lines[6] = lines[6], lines[5]
        for start in range(position, len(lines), BATCH):
            batch = lines[start : start + BATCH]
            yield pb.StreamLogsResponse(lines=batch, cursor=str(start + len(batch)))
        async for sign in self._wait(request.platform_job_id):
            yield sign
        is_cut = self.draining.is_set() and self.platform.runs(request.platform_job_id)
        if "endless" not in FAULTS and (not is_cut or "ends-when-cut" in FAULTS):
            yield pb.StreamLogsResponse(lines=[LogLine(text="a\nb")] if "line-ends" in FAULTS else [], end=True)

    async def _wait(self, job: str) -> AsyncIterator[pb.StreamLogsResponse]:
        """Wait until the job has ended, or this connector ends; give a sign of life now and then."""
        silent_since = time.monotonic()
        while self.platform.runs(job) and not self.draining.is_set():
            await asyncio.sleep(0.02)
            if time.monotonic() - silent_since > ALIVE_SECONDS:
                silent_since = time.monotonic()
                yield pb.StreamLogsResponse()

    async def _until_ended(self, job: str) -> None:
        while self.platform.runs(job):  # noqa: ASYNC110 - a file is looked at
            await asyncio.sleep(0.02)

    async def GetMetrics(self, request: pb.GetMetricsRequest, context: Context) -> pb.GetMetricsResponse:
        await self.greet(context, request.connection_id, request.platform_job_id)
        first = 0 if "repeats-metrics" in FAULTS else int(request.cursor or 0)
        return pb.GetMetricsResponse(
            metrics=[Metric(name="loss", step=step, value=1 / (step + 1), attempt=1) for step in range(first, 5)],
            cursor="5",
        )

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Context) -> pb.ListArtifactsResponse:
        await self.greet(context, request.connection_id, request.platform_job_id)
        path = "../weights.bin" if "climbs-out" in FAULTS else "adapter/weights.bin"
        file = Artifact(id="weights", path=path, size=len(FILE), sha256=SHA256, etag="v1")
        if "wrong-checksum" in FAULTS:
            file.sha256 = hashlib.sha256(b"other").hexdigest()
        return pb.ListArtifactsResponse(artifacts=[file])

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        await self.greet(context, request.connection_id, request.platform_job_id)
        if request.artifact_id != "weights":
            await fail(context, NOT_FOUND, "NOT_FOUND", "There is no such file.")
        if request.if_etag not in ("", "v1") and "ignores-etag" not in FAULTS:
            await fail(context, grpc.StatusCode.FAILED_PRECONDITION, "ARTIFACT_CHANGED", "The file has changed.")
        if not 0 <= request.offset <= len(FILE):
            await fail(context, grpc.StatusCode.OUT_OF_RANGE, "BAD_OFFSET", f"The file has {len(FILE)} bytes.")
        start = 0 if "ignores-offset" in FAULTS else request.offset
        for offset in range(start, len(FILE), CHUNK):
            hole = 1 if "holes" in FAULTS and offset else 0
            yield pb.FetchArtifactResponse(
                chunk=Chunk(offset=offset + hole, data=FILE[offset : offset + CHUNK]), size=len(FILE)
            )

    async def UploadArtifact(
        self, requests: AsyncIterator[pb.UploadArtifactRequest], context: Context
    ) -> pb.UploadArtifactResponse:
        header, data = pb.UploadHeader(), b""
        async for request in requests:
            if request.HasField("header"):
                header = request.header
                await self.greet(context, header.connection_id)
            data += request.chunk.data
        if "trusts-uploads" not in FAULTS:
            await _verify(header, data, context)
        return pb.UploadArtifactResponse(artifact_id=header.name)

    async def ListResources(self, request: pb.ListResourcesRequest, context: Context) -> pb.ListResourcesResponse:
        await self.greet(context, request.connection_id)
        return pb.ListResourcesResponse(resources=[Resource(id="small", name="Small", gpu_count=1, vram_gb=24)])

    async def GetPricing(self, request: pb.GetPricingRequest, context: Context) -> pb.GetPricingResponse:
        await self.greet(context, request.connection_id)
        if request.resource_id != "small":
            await fail(context, NOT_FOUND, "NOT_FOUND", "There is no such machine.")
        currency = "dollars" if "odd-currency" in FAULTS else "USD"
        return pb.GetPricingResponse(price=Price(resource_id="small", amount_micros=800_000, currency=currency))


async def _verify(header: pb.UploadHeader, data: bytes, context: Context) -> None:
    if len(data) != header.size or hashlib.sha256(data).hexdigest() != header.sha256:
        await fail(context, grpc.StatusCode.DATA_LOSS, "CHECKSUM_MISMATCH", "Other bytes came; send them again.")
