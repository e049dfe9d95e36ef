"""Blots credentials out of what a connector says of jobs: platforms quote what they were given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from google.protobuf.message import Message

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JobObservation

RedactAll = Callable[[Sequence[str]], Sequence[str]]
"""Blots credentials out of texts, all at once."""


def blot(response: Message, redact: RedactAll) -> None:
    """Let the words for people in an answer pass `redact`; what identifies something stays as it is."""
    observations = list(_observations(response))
    said = [text for one in observations for text in (one.message, one.raw_state)]
    shown = redact(said)
    if shown is said:
        return
    for one, message, raw_state in zip(observations, shown[::2], shown[1::2], strict=True):
        one.message, one.raw_state = message, raw_state


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
