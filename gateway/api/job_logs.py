"""`StreamLogs`: stored bytes, handed on as they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import cast

from gateway.api import requests
from gateway.errors import InvalidRequest
from gateway.jobs.service import Jobs
from gateway.logs.follower import Follower, Part
from gateway.logs.query import After, Since, Start, Tail, compile_filter
from gateway.logs.store import Ending, LogStore
from gateway.wire.jobs import state_to_proto
from gateway.wire.time import time_from_proto
from peftstudio.gateway.v1 import jobs_service_pb2 as pb

MAX_TAIL = 1_000_000


class JobLogs:
    """Stream jobs' logs to clients."""

    def __init__(self, jobs: Jobs, logs: LogStore) -> None:
        self._jobs = jobs
        self._logs = logs

    async def stream(self, request: pb.StreamLogsRequest) -> AsyncIterator[pb.StreamLogsResponse]:
        """Yield messages, as bytes that are in wire format already."""
        requests.require(job_id=request.job_id)
        await self._jobs.get(request.job_id)
        wanted = compile_filter(request.filter)
        with self._logs.open(request.job_id) as log:
            follower = Follower(log, _start(request), wanted, lambda: self._ending(request.job_id))
            async with aclosing(follower.follow() if request.follow else follower.read()) as parts:
                async for part in parts:
                    yield cast("pb.StreamLogsResponse", part.data if part.is_whole else _message(part))

    async def _ending(self, job_id: str) -> Ending | None:
        job = await self._jobs.get(job_id)
        return Ending(job.state, is_complete=True) if job.state.is_terminal and not job.is_log_open else None


def _start(request: pb.StreamLogsRequest) -> Start:
    match request.WhichOneof("start"):
        case "after_seq":
            return After(request.after_seq)
        case "tail":
            if request.tail > MAX_TAIL:
                raise InvalidRequest.of("tail", f"is above {MAX_TAIL}; start from the beginning instead")
            return Tail(request.tail)
        case "since":
            since = time_from_proto(request.since)
            return After() if since is None else Since(since)
        case "from_end":
            return Tail(0)
    return After()


def _message(part: Part) -> bytes:
    """Put the lines, which are encoded fields of the message already, in front of its other fields."""
    rest = pb.StreamLogsResponse(next_after_seq=part.next_after_seq, heartbeat=part.is_heartbeat)
    if part.is_last:
        rest.end.last_seq = part.next_after_seq
        if part.ending is not None:
            rest.end.final_state = state_to_proto(part.ending.final_state)
            rest.end.complete = part.ending.is_complete
    return part.data + rest.SerializeToString()
