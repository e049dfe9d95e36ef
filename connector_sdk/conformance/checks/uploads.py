"""Uploads to the platform's registry."""

from __future__ import annotations

import hashlib

from connector_sdk.conformance.check import FailedCheck, SkippedCheck, advise, check, expect
from connector_sdk.conformance.refusal import Refusal
from connector_sdk.conformance.trial import Trial
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Chunk

DATA = bytes(range(256)) * 300
NAME = "conformance.bin"


@check("uploads.arrive", remedy="Read the chunks behind the header, put the file into the registry, and tell its id.")
async def arrive(trial: Trial) -> None:
    """A file that is uploaded to the registry gets an id."""
    said = await _upload(trial, _digest(DATA))
    if isinstance(said, Refusal):
        raise FailedCheck(str(said))
    expect(bool(said.artifact_id), "artifact_id is empty")


@check("uploads.verified", remedy="Compare the SHA-256 of what came with the header's, and answer CHECKSUM_MISMATCH.")
async def verified(trial: Trial) -> None:
    """An upload whose bytes do not have the checksum of its header is refused."""
    said = await _upload(trial, _digest(b"other bytes"))
    expect(isinstance(said, Refusal), "it was accepted")
    assert isinstance(said, Refusal)
    advise(said.reason == "CHECKSUM_MISMATCH", str(said))


@check("uploads.whole", remedy="Compare the number of bytes that came with the header's `size`.")
async def whole(trial: Trial) -> None:
    """An upload that ends early is refused."""
    said = await _upload(trial, _digest(DATA), size=len(DATA) + 1)
    expect(isinstance(said, Refusal), "it was accepted")


async def _upload(trial: Trial, sha256: str, size: int = len(DATA)) -> pb.UploadArtifactResponse | Refusal:
    if "registry" not in (await trial.description()).features:
        raise SkippedCheck("it has no registry")
    if not trial.options.jobs.is_wanted:
        raise SkippedCheck("--no-jobs: nothing is put into the registry")
    connection, wire = await trial.connection(), await trial.wire()
    header = pb.UploadHeader(connection_id=connection, name=NAME, size=size, sha256=sha256)
    half = len(DATA) // 2
    parts = [
        pb.UploadArtifactRequest(header=header),
        pb.UploadArtifactRequest(chunk=Chunk(offset=0, data=DATA[:half])),
        pb.UploadArtifactRequest(chunk=Chunk(offset=half, data=DATA[half:])),
    ]
    return await wire.upload(parts)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
