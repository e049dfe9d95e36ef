"""Jobs in the wire format of answers, encoded once for each time that they change.

A job in the ledger's memory is replaced whenever anything about it changes, and never altered: what was encoded of the
very same object holds. All that grows by itself is the cost of a job that holds something; that is encoded anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.api.jobs_convert import cost_to_proto, job_to_proto
from gateway.clock import Clock
from gateway.jobs.model import Job
from gateway.jobs.service import Jobs
from gateway.wire.fields import nested
from peftstudio.gateway.v1 import jobs_service_pb2 as pb

FIELD_NUMBER = pb.GetJobResponse.JOB_FIELD_NUMBER
"""Of the job, or of the jobs, in every answer that has any."""

MOST_JOBS = 2000
"""More than any page or batch, so that a client that asks for the same ones again finds them encoded."""

MOST_BYTES = 16384
"""Larger ones are encoded each time, so that all that are kept are some megabytes at most."""


@dataclass(frozen=True, slots=True)
class _Encoded:
    job: Job
    field: bytes
    """Of a job whose cost grows: the encoded message, without the cost."""
    is_growing: bool


class EncodedJobs:
    """Encode jobs as the field of an answer, as people see them."""

    def __init__(self, jobs: Jobs, clock: Clock) -> None:
        self._jobs = jobs
        self._clock = clock
        self._encoded: dict[str, _Encoded] = {}

    def field(self, job: Job) -> bytes:
        """Return the field with this one job."""
        shown = self._jobs.shown(job)
        if shown is not job:
            # Its place in the line, which changes with other jobs.
            return nested(FIELD_NUMBER, job_to_proto(shown, self._clock.now()).SerializeToString())
        encoded = self._encoded.get(job.id)
        if encoded is None or encoded.job is not job:
            encoded = self._encode(job)
        if not encoded.is_growing:
            return encoded.field
        cost = cost_to_proto(job, self._clock.now()).SerializeToString()
        return nested(FIELD_NUMBER, encoded.field + nested(pb.Job.COST_FIELD_NUMBER, cost))

    def _encode(self, job: Job) -> _Encoded:
        message = job_to_proto(job, self._clock.now())
        is_growing = bool(job.holds) and job.holds[-1].end is None
        if is_growing:
            message.ClearField("cost")
        data = message.SerializeToString()
        encoded = _Encoded(job, data if is_growing else nested(FIELD_NUMBER, data), is_growing)
        # The one that was encoded last is the last to go.
        self._encoded.pop(job.id, None)
        if len(data) <= MOST_BYTES:
            self._encoded[job.id] = encoded
        if len(self._encoded) > MOST_JOBS:
            del self._encoded[next(iter(self._encoded))]
        return encoded
