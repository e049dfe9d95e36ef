"""Blots credentials out of what a connector says of jobs: platforms quote what they were given."""

from __future__ import annotations

from collections.abc import Iterable

from google.protobuf.message import Message

from gateway.redaction import Redact
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JobObservation


def blot(response: Message, redact: Redact) -> None:
    """Let the words for people in an answer pass `redact`; what identifies something stays as it is."""
    for observation in _observations(response):
        observation.message = redact(observation.message)
        observation.raw_state = redact(observation.raw_state)


def _observations(response: Message) -> Iterable[JobObservation]:
    match response:
        case pb.GetJobStatusResponse():
            return (response.observation,)
        case pb.BatchGetJobStatusResponse():
            return response.observations.values()
        case pb.ListJobsResponse():
            return (job.observation for job in response.jobs)
        case _:
            return ()
