"""The blocking client over a channel and a clock that the test drives: no server, no time passes."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol, TypeVar

import grpc
import grpc_testing
import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from gateway.client import GatewayCallError, SyncClient
from peftstudio.gateway.v1 import jobs_service_pb2 as pb
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from peftstudio.job.v1.log_pb2 import LogLine

pytestmark = [pytest.mark.unit, pytest.mark.timeout(20)]

Result = TypeVar("Result")
BOUND_SECONDS = 10.0

_METHODS = pb.DESCRIPTOR.services_by_name["JobsService"].methods_by_name


class _Rpc(Protocol):
    def send_response(self, response: Message) -> None: ...

    def terminate(self, trailing: tuple[()], code: grpc.StatusCode, details: str) -> None: ...

    def send_initial_metadata(self, metadata: tuple[()]) -> None: ...


class Stage:
    """A fake channel with a client on it that runs in a thread."""

    def __init__(self) -> None:
        self.time = grpc_testing.strict_fake_time(0)
        self.channel = grpc_testing.channel([pb.DESCRIPTOR.services_by_name["JobsService"]], self.time)
        self.client = SyncClient(channel=self.channel, now=self.time.time, sleep=self.time.sleep_for)
        self._threads = ThreadPoolExecutor(1)

    def begin(self, work: Callable[[], Result]) -> Future[Result]:
        """Let the client do something."""
        return self._threads.submit(work)

    def take_stream(self) -> tuple[pb.StreamLogsRequest, _Rpc]:
        """Take the next stream of logs that the client opened."""
        _, request, rpc = self.channel.take_unary_stream(_method("StreamLogs"))
        return request, rpc

    def answer(self, method: str, response: Message, code: grpc.StatusCode = grpc.StatusCode.OK) -> Message:
        """Answer the next call of a method and return its request."""
        _, request, rpc = self.channel.take_unary_unary(_method(method))
        rpc.terminate(response, (), code, "")
        taken: Message = request
        return taken

    def close(self) -> None:
        """Wait for the client's thread."""
        self._threads.shutdown(wait=True)


def _method(name: str) -> MethodDescriptor:
    return _METHODS[name]


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_a_verb_returns_what_the_gateway_answered(stage: Stage) -> None:
    found = stage.begin(lambda: stage.client.jobs.get("j"))

    request = stage.answer("GetJob", pb.GetJobResponse(job=pb.Job(id="j", state=JOB_STATE_SUCCEEDED)))

    assert request == pb.GetJobRequest(job_id="j")
    assert found.result(BOUND_SECONDS).state == JOB_STATE_SUCCEEDED


def test_a_cut_log_goes_on_behind_the_last_line_after_a_wait_on_the_given_clock(stage: Stage) -> None:
    seen: queue.Queue[str] = queue.Queue()

    def follow() -> None:
        for line in stage.client.jobs.logs("j", follow=True):
            seen.put(line.text)

    following = stage.begin(follow)
    first, rpc = stage.take_stream()
    rpc.send_response(pb.StreamLogsResponse(lines=[LogLine(seq=1, text="one")], next_after_seq=1))
    # The fake channel forgets what was not read before the end.
    assert seen.get(timeout=BOUND_SECONDS) == "one"
    rpc.terminate((), grpc.StatusCode.UNAVAILABLE, "cut")
    second, rpc = stage.take_stream()
    both = [LogLine(seq=1, text="one"), LogLine(seq=2, text="two")]
    rpc.send_response(pb.StreamLogsResponse(lines=both, next_after_seq=2))
    rpc.send_response(pb.StreamLogsResponse(end=pb.LogEnd(last_seq=2, complete=True), next_after_seq=2))

    following.result(BOUND_SECONDS)
    assert seen.get(timeout=BOUND_SECONDS) == "two"
    assert seen.empty()
    assert first.WhichOneof("start") is None
    assert second.after_seq == 1


def test_a_submission_is_repeated_under_one_request_id(stage: Stage) -> None:
    submitted = stage.begin(lambda: stage.client.jobs.submit("local", {"rank": 2}))

    first = stage.answer("SubmitJob", pb.SubmitJobResponse(), grpc.StatusCode.UNAVAILABLE)
    second = stage.answer("SubmitJob", pb.SubmitJobResponse(job=pb.Job(id="j")))

    assert submitted.result(BOUND_SECONDS).id == "j"
    assert first == second


def test_a_gateway_that_stays_away_is_given_up_on_the_given_clock(stage: Stage) -> None:
    follow = stage.client.jobs.logs("j", follow=True, give_up_after=timedelta(hours=1))
    lines = stage.begin(lambda: list(follow))
    for _ in range(2):
        _, rpc = stage.take_stream()
        stage.time.sleep_for(1800)
        rpc.terminate((), grpc.StatusCode.UNAVAILABLE, "away")

    with pytest.raises(GatewayCallError, match="does not answer"):
        lines.result(BOUND_SECONDS)


def test_whoever_stops_reading_cancels_the_call(stage: Stage) -> None:
    def read_one() -> str:
        lines = stage.client.jobs.logs("j", follow=True)
        text = next(lines).text
        lines.close()
        return text

    read = stage.begin(read_one)
    _, _, rpc = stage.channel.take_unary_stream(_method("StreamLogs"))
    rpc.send_response(pb.StreamLogsResponse(lines=[LogLine(seq=1, text="one")], next_after_seq=1))

    assert read.result(BOUND_SECONDS) == "one"
    rpc.cancelled()
