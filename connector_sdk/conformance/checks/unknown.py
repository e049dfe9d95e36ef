"""Things that are not there."""

from __future__ import annotations

import grpc
from google.protobuf.message import Message

from connector_sdk.conformance.check import advise, check, expect
from connector_sdk.conformance.methods import OPTIONAL, REQUIRED
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.work import ended
from peftstudio.connector.v1 import connector_service_pb2 as pb

REMEDY = "Answer NOT_FOUND when the platform does not know the id; a gateway may take a job for lost only then."
NOTHING = "conformance-unknown"


@check("unknown.status", remedy=REMEDY)
async def status(trial: Trial) -> None:
    """A look at a job that is not there is NOT_FOUND."""
    await _expect_not_found(trial, REQUIRED["get_job_status"](await trial.connection(), NOTHING))


@check("unknown.log", remedy=REMEDY)
async def log(trial: Trial) -> None:
    """The log of a job that is not there is NOT_FOUND, and no log that has ended."""
    await _expect_not_found(trial, REQUIRED["stream_logs"](await trial.connection(), NOTHING))


@check("unknown.cancel", remedy=REMEDY)
async def cancel(trial: Trial) -> None:
    """Cancelling a job that is not there is NOT_FOUND."""
    await trial.capable_of("cancel_job")
    await _expect_not_found(trial, OPTIONAL["cancel_job"](await trial.connection(), NOTHING))


@check("unknown.files", remedy=REMEDY)
async def files(trial: Trial) -> None:
    """The files of a job that is not there are NOT_FOUND."""
    await _expect_not_found(trial, REQUIRED["list_artifacts"](await trial.connection(), NOTHING))


@check(
    "unknown.file", remedy="Answer NOT_FOUND for a file that the job does not have; never with another file's bytes."
)
async def file(trial: Trial) -> None:
    """A file that a job does not have is NOT_FOUND."""
    job = await ended(trial)
    request = pb.FetchArtifactRequest(connection_id=job.connection, platform_job_id=job.id, artifact_id=NOTHING)
    await _expect_not_found(trial, request)


@check("unknown.metrics", remedy=REMEDY)
async def metrics(trial: Trial) -> None:
    """The metrics of a job that is not there are NOT_FOUND."""
    await trial.capable_of("get_metrics")
    await _expect_not_found(trial, OPTIONAL["get_metrics"](await trial.connection(), NOTHING))


@check("unknown.price", remedy="Answer NOT_FOUND for a machine that the platform does not have.")
async def price(trial: Trial) -> None:
    """The price of a machine that is not there is NOT_FOUND."""
    await _expect_not_found(trial, REQUIRED["get_pricing"](await trial.connection(), NOTHING))


@check("unknown.model", remedy="Answer NOT_FOUND for a model that the registry does not have.")
async def model(trial: Trial) -> None:
    """A model that is not there is NOT_FOUND."""
    await trial.capable_of("get_model_metadata")
    await _expect_not_found(trial, OPTIONAL["get_model_metadata"](await trial.connection(), NOTHING))


async def _expect_not_found(trial: Trial, request: Message) -> None:
    refusal = await (await trial.wire()).refusal(request)
    expect(refusal is not None, "it was answered as if it were there")
    assert refusal
    expect(refusal.code is not grpc.StatusCode.DEADLINE_EXCEEDED, f"it has no answer: {refusal}")
    is_right = refusal.code is grpc.StatusCode.NOT_FOUND and refusal.reason == "NOT_FOUND"
    advise(is_right, str(refusal))
