"""Platforms on disk whose log streams are cut again and again, one for each way in which a log can be continued.

A job's options: `lines` (how many), `pace` (lines a second), `cut_lines` (how many new lines a stream gives at most
before it is cut; by chance fewer). Its folder has notes of each stream: `log opened`, `log cut`, `log closed`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar, Literal

from connector_sdk.models import LogRecord
from connectors.base import PlatformConnector
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1 import job_state_pb2, log_pb2
from tests.support import plain_connector
from tests.support.plain_connector import Context, Plain
from tests.support.plugins.lab_connector import LabConnector, Spec

RANKS = 3
STEP_SECONDS = 0.02
NEVER_SECONDS = 1e9
REREAD = 5
"""By how many lines a stream may be cut before it gives something new."""


def text_of(number: int) -> str:
    """Return a line of every job's log."""
    return f"step {number} loss {1 / number:.6f}"


def number_of(text: str) -> int:
    """Return the number of a line."""
    return int(text.split()[1])


def rank_of(number: int) -> int:
    """Return who writes a line, where the platform tells."""
    return number % RANKS


def cut_at(written: int, cut_lines: float) -> int:
    """Return where a stream is cut that is opened when so much is written."""
    return written + random.randint(-REREAD, int(cut_lines))


class CutLab(LabConnector):
    """A laboratory that cuts the streams of its logs."""

    async def numbers(self, job_id: str, after: int | None) -> AsyncIterator[int]:
        """Yield the numbers of lines as they are written, until the job has ended or the stream is cut."""
        folder, spec = self.find(job_id)
        self.note(folder, "log opened")
        number = self.written(spec) if after is None else after
        cut = max(number + 1, cut_at(self.written(spec), json.loads((folder / "spec.json").read_text())["cut_lines"]))
        while True:
            has_ended = self.written(spec) >= spec["lines"]
            while number < self.written(spec):
                if number == cut:
                    self.note(folder, "log cut")
                    # An author whose log just stops says that it is complete, once the job has ended.
                    if number % 2 or self.written(spec) > spec["lines"] - spec["pace"]:
                        raise ConnectionError("the socket was closed")
                    return
                number += 1
                yield number
            if has_ended:
                return
            await asyncio.sleep(STEP_SECONDS)


class CursorLab(CutLab):
    """Continues behind a cursor, and tells who wrote a line."""

    async def stream_logs_from(self, job_id: str, cursor: str) -> AsyncIterator[LogRecord]:
        async for number in self.numbers(job_id, int(cursor or 0)):
            yield LogRecord(text=text_of(number), cursor=str(number), rank=rank_of(number))


class ReplayLab(CutLab):
    """Starts again at the first line."""

    stream_logs_from = PlatformConnector.stream_logs_from

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        async for number in self.numbers(job_id, 0):
            yield text_of(number)


class TailLab(CutLab):
    """Gives only what comes while it is read, and begins to write when it is first read."""

    log_source: ClassVar[Literal["replay", "tail_only"] | None] = "tail_only"
    stream_logs_from = PlatformConnector.stream_logs_from

    async def stream_logs(self, job_id: str) -> AsyncIterator[str]:
        begun = self.jobs / job_id / "begun"
        if not begun.exists():
            (self.jobs / job_id / ".begun").write_text(str(time.time()))
            (self.jobs / job_id / ".begun").rename(begun)
        async for number in self.numbers(job_id, None):
            yield text_of(number)

    def find(self, job_id: str) -> tuple[Path, Spec]:
        folder, spec = super().find(job_id)
        begun = folder / "begun"
        spec["started_at"] = float(begun.read_text()) if begun.exists() else time.time() + NEVER_SECONDS
        return folder, spec


class Offset(Plain):
    """Continues at any line; without the SDK, which knows no such connectors."""

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        said = await super().Describe(request, context)
        said.min_poll_interval.FromMilliseconds(100)
        return said

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> pb.SubmitJobResponse:
        await self._greet(context, request.connection_id)
        folder = Path("jobs") / request.submission_token
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "spec.json").exists():
            options = request.config.options
            spec = {name: options[name] for name in ("lines", "pace", "cut_lines")}
            (folder / ".spec").write_text(json.dumps({**spec, "started_at": time.time()}))
            (folder / ".spec").rename(folder / "spec.json")
        return pb.SubmitJobResponse(platform_job_id=folder.name)

    async def FindJob(self, request: pb.FindJobRequest, context: Context) -> pb.FindJobResponse:
        await self._greet(context, request.connection_id)
        is_there = (Path("jobs") / request.submission_token / "spec.json").exists()
        return pb.FindJobResponse(platform_job_id=request.submission_token if is_there else "")

    async def GetJobStatus(self, request: pb.GetJobStatusRequest, context: Context) -> pb.GetJobStatusResponse:
        await self._greet(context, request.connection_id)
        spec = json.loads((Path("jobs") / request.platform_job_id / "spec.json").read_text())
        has_ended = written(spec) >= spec["lines"]
        state = job_state_pb2.JOB_STATE_SUCCEEDED if has_ended else job_state_pb2.JOB_STATE_RUNNING
        seen = job_state_pb2.JobObservation(state=state, attempt=1, exit_code=0 if has_ended else None)
        return pb.GetJobStatusResponse(observation=seen)

    async def StreamLogs(self, request: pb.StreamLogsRequest, context: Context) -> AsyncIterator[pb.StreamLogsResponse]:
        await self._greet(context, request.connection_id)
        folder, number = Path("jobs") / request.platform_job_id, request.after_line
        spec = json.loads((folder / "spec.json").read_text())
        cut = max(number + 1, cut_at(written(spec), spec["cut_lines"]))
        note(folder, "log opened")
        while True:
            has_ended, last = written(spec) >= spec["lines"], min(written(spec), cut)
            numbers = range(number + 1, last + 1)
            lines = [log_pb2.LogLine(seq=n, text=text_of(n), rank=rank_of(n)) for n in numbers]
            yield pb.StreamLogsResponse(lines=lines)
            number = max(number, last)
            if number == cut < spec["lines"]:
                note(folder, "log cut")
                return
            if has_ended:
                yield pb.StreamLogsResponse(end=True)
                return
            await asyncio.sleep(STEP_SECONDS)


def written(spec: dict[str, float]) -> int:
    """Return how many lines a job without the SDK has written."""
    return min(int(spec["lines"]), int((time.time() - spec["started_at"]) * spec["pace"]))


def note(folder: Path, text: str) -> None:
    """Note what happened to a job without the SDK."""
    with (folder / "notes").open("a") as file:
        file.write(f"{os.getpid()} {text}\n")


def serve_offset() -> None:
    """Run the connector that continues at any line, on descriptors 0 and 3."""
    # The methods that it lacks answer UNIMPLEMENTED, which the stubs cannot know.
    plain_connector.servicer = lambda bootstrap, ended: Offset(bootstrap, ended)  # type: ignore[abstract]
    asyncio.run(plain_connector.serve(json.loads(sys.stdin.buffer.readline())))
