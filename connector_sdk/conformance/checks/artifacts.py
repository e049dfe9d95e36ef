"""Artifacts: every byte, from any offset, as it was told."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import grpc

from connector_sdk.conformance.check import SkippedCheck, advise, check, expect
from connector_sdk.conformance.checksum import crc32c
from connector_sdk.conformance.trial import Trial
from connector_sdk.conformance.work import Job, ended
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.artifact_pb2 import Artifact

FETCH_SECONDS = 15.0
LONGEST_CHUNK_BYTES = 1024 * 1024
LARGEST_BYTES = 64 * 1024 * 1024  # a larger file takes too long to be read several times
CHECKSUM_BYTES = 1024 * 1024  # how much is compared by CRC-32C: it is computed slowly
PARALLEL = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """What a fetch brought."""

    messages: Sequence[pb.FetchArtifactResponse]

    @property
    def data(self) -> bytes:
        """The bytes, in the order in which they came."""
        return b"".join(message.chunk.data for message in self.messages)

    @property
    def sha256(self) -> str:
        """The checksum that was told, if any."""
        return next((message.sha256 for message in self.messages if message.sha256), "")

    @property
    def sizes(self) -> set[int]:
        """Every size that was told."""
        return {message.size for message in self.messages if message.HasField("size")}


@check("artifacts.listed", remedy="List what a job left in a stable order, each file with an id of its own.")
async def listed(trial: Trial) -> None:
    """The files of an ended job are listed in a stable order, each with an id of its own."""
    job, found = await ended(trial), await _list(trial)
    again = await (await trial.wire()).ask(_list_request(job), pb.ListArtifactsResponse)
    ids = [one.id for one in found]
    expect(all(ids) and len(set(ids)) == len(ids), f"ids are {ids}")
    expect([one.id for one in again.artifacts] == ids, "the second list has another order")


@check("artifacts.paths", remedy="Give relative paths with forward slashes, without `..`: they become files somewhere.")
async def paths(trial: Trial) -> None:
    """Paths are relative and stay within their folder."""
    for one in await _list(trial):
        parts = one.path.split("/")
        is_safe = bool(one.path) and "\\" not in one.path and ".." not in parts and parts[0] != ""
        expect(is_safe, f"the path of {one.id} is {one.path!r}")


@check("artifacts.contiguous", remedy="Give each chunk the offset at which the one before it ended.")
async def contiguous(trial: Trial) -> None:
    """The chunks of a file come in order and without holes, from byte 0 on."""
    _expect_contiguous(await _fetched(trial), 0)


@check("artifacts.chunks", remedy="Send chunks of at most 1 MiB.")
async def chunks(trial: Trial) -> None:
    """A chunk has at most 1 MiB."""
    largest = max((len(message.chunk.data) for message in (await _fetched(trial)).messages), default=0)
    expect(largest <= LONGEST_CHUNK_BYTES, f"one has {largest} bytes")


@check("artifacts.size", remedy="Tell the size of the whole file, or none.")
async def size(trial: Trial) -> None:
    """Every size that is told of a file is the number of its bytes."""
    file, fetched = await _file(trial), await _fetched(trial)
    told = fetched.sizes | ({file.size} if file.HasField("size") else set())
    expect(told <= {len(fetched.data)}, f"{sorted(told)} is told, and {len(fetched.data)} bytes came")


@check("artifacts.sha256", remedy="Tell the SHA-256 of the bytes that you send, in lower-case hex, or none.")
async def sha256(trial: Trial) -> None:
    """Every SHA-256 that is told of a file is that of its bytes."""
    file, fetched = await _file(trial), await _fetched(trial)
    told = {word for word in (file.sha256, fetched.sha256) if word}
    if not told:
        raise SkippedCheck("it tells none")
    found = hashlib.sha256(fetched.data).hexdigest()
    expect(told == {found}, f"{sorted(told)} is told, and the bytes have {found}")


@check("artifacts.crc32c", remedy="crc32c is CRC-32C (Castagnoli) of the chunk's data alone; leave it out otherwise.")
async def crc(trial: Trial) -> None:
    """The checksum of a chunk is that of its bytes."""
    compared = 0
    for message in (await _fetched(trial)).messages:
        if message.chunk.HasField("crc32c") and compared < CHECKSUM_BYTES:
            compared += len(message.chunk.data)
            expect(message.chunk.crc32c == crc32c(message.chunk.data), f"at {message.chunk.offset} it is another")
    if not compared:
        raise SkippedCheck("its chunks carry none")


@check("artifacts.ranges", remedy="Begin at `offset`, and say offsets within the whole file.")
async def ranges(trial: Trial) -> None:
    """From any offset on, exactly the rest of the file is sent."""
    data = (await _fetched(trial)).data
    if not data:
        raise SkippedCheck("the file is empty")
    for offset in sorted({1, len(data) // 2, len(data) - 1} - {len(data)}):
        rest = await _fetch(trial, offset)
        _expect_contiguous(rest, offset)
        expect(rest.data == data[offset:], f"from {offset} on other bytes come")


@check("artifacts.at_end", remedy="Answer an offset at the end of the file with no bytes; that is no error.")
async def at_end(trial: Trial) -> None:
    """From the end of the file on, nothing is sent, without an error."""
    data = (await _fetched(trial)).data
    expect(not (await _fetch(trial, len(data))).data, "bytes come")


@check("artifacts.beyond", remedy="Answer BAD_OFFSET to offsets outside the file.")
async def beyond(trial: Trial) -> None:
    """An offset behind the end of the file is refused with BAD_OFFSET."""
    await _expect_bad_offset(trial, len((await _fetched(trial)).data) + 1)


@check("artifacts.negative", remedy="Answer BAD_OFFSET to negative offsets.")
async def negative(trial: Trial) -> None:
    """A negative offset is refused with BAD_OFFSET."""
    await _expect_bad_offset(trial, -1)


@check("artifacts.etag", remedy="Compare if_etag with the file's present etag before you send a byte.")
async def etag(trial: Trial) -> None:
    """A file whose etag is another than the caller's is refused with ARTIFACT_CHANGED; its own is accepted."""
    file = await _file(trial)
    if not file.etag:
        raise SkippedCheck("it tells no etag")
    await _fetch(trial, 0, etag=file.etag)
    refusal = await (await trial.wire()).refusal(await _request(trial, 0, "conformance-other"))
    expect(refusal is not None, "another etag was accepted")
    assert refusal
    expect(refusal.reason == "ARTIFACT_CHANGED", str(refusal))


@check("artifacts.parallel", remedy="Open the file anew for each fetch.")
async def parallel(trial: Trial) -> None:
    """Several fetches at a time bring the same bytes."""
    data = (await _fetched(trial)).data
    found = await asyncio.gather(*(_fetch(trial, 0) for _ in range(PARALLEL)))
    expect(all(one.data == data for one in found), "one brought other bytes")


def _list_request(job: Job) -> pb.ListArtifactsRequest:
    return pb.ListArtifactsRequest(connection_id=job.connection, platform_job_id=job.id)


async def _list(trial: Trial) -> list[Artifact]:
    async def ask() -> list[Artifact]:
        wire = await trial.wire()
        return list((await wire.ask(_list_request(await ended(trial)), pb.ListArtifactsResponse)).artifacts)

    found = await trial.facts.get("a list of files", ask)
    if not found:
        raise SkippedCheck("the job left no files")
    return found


async def _file(trial: Trial) -> Artifact:
    """Choose the largest file that can be read quickly."""
    fitting = [one for one in await _list(trial) if one.size <= LARGEST_BYTES]
    if not fitting:
        raise SkippedCheck("every file is larger than 64 MiB")
    return max(fitting, key=lambda one: one.size)


async def _request(trial: Trial, offset: int, if_etag: str = "") -> pb.FetchArtifactRequest:
    job, file = await ended(trial), await _file(trial)
    return pb.FetchArtifactRequest(
        connection_id=job.connection, platform_job_id=job.id, artifact_id=file.id, offset=offset, if_etag=if_etag
    )


async def _fetched(trial: Trial) -> Fetched:
    return await trial.facts.get("a file", lambda: _fetch(trial, 0))


async def _fetch(trial: Trial, offset: int, *, etag: str = "") -> Fetched:
    request, wire = await _request(trial, offset, etag), await trial.wire()
    return Fetched(messages=await wire.read(request, pb.FetchArtifactResponse, seconds=FETCH_SECONDS))


def _expect_contiguous(fetched: Fetched, position: int) -> None:
    for message in fetched.messages:
        if message.chunk.data:
            expect(message.chunk.offset == position, f"at {position} comes a chunk for {message.chunk.offset}")
            position += len(message.chunk.data)


async def _expect_bad_offset(trial: Trial, offset: int) -> None:
    await _fetched(trial)
    wire = await trial.wire()
    messages, refusal = await wire.attempt(await _request(trial, offset), pb.FetchArtifactResponse)
    expect(not any(message.chunk.data for message in messages), "bytes come")
    advise(refusal is not None, "it is answered with nothing, as if the file ended there")
    assert refusal
    is_right = refusal.reason == "BAD_OFFSET" and refusal.code is grpc.StatusCode.OUT_OF_RANGE
    advise(is_right, str(refusal))
