"""What a supervisor learns of a connector that is stuck, stopped, crashing or too large."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from connector_sdk._options import CHANNEL_OPTIONS
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.sdk.files import path_exists, words_in
from tests.support.sdk.health import NOT_SERVING, SERVICE, SERVING, check, check_over, watching_at
from tests.support.sdk.launching import WAIT_SECONDS, Launched, launched
from tests.support.sdk.rpc import SECONDS, failure

if TYPE_CHECKING:
    from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

pytestmark = pytest.mark.process

PLAIN = "tests.support.sdk.required_connector:PlainConnector"
IMPATIENT_SECONDS = 0.5
GIB = 1024**3

STUCK = """
import os
from tests.support.sdk.required_connector import PlainConnector

class StuckConnector(PlainConnector):
    async def list_resources(self):
        open("blocked", "w").close()
        open("gate").close()  # blocks until somebody opens the other end
        return []

    async def get_pricing(self, resource_id):
        os.abort()
"""
BLOCKING_LINE = "line 8 in list_resources"

GREEDY = """
from tests.support.sdk.required_connector import PlainConnector

class GreedyConnector(PlainConnector):
    async def list_resources(self):
        return bytearray(3 << 30)

    async def fetch_artifact(self, job_id):
        try:
            return bytearray(3 << 30)
        except Exception as e:
            raise RuntimeError(f"Fetching failed: {e}")
"""

QUIET = """
import asyncio
from tests.support.sdk.required_connector import PlainConnector

class QuietConnector(PlainConnector):
    async def stream_logs(self, job_id):
        yield job_id
        await asyncio.Event().wait()
"""


@asynccontextmanager
async def _connected(
    folder: Path, content: str, **bootstrap: object
) -> AsyncIterator[tuple[Launched, "ConnectorServiceAsyncStub"]]:
    path = folder / "some_connector.py"
    path.write_text(content)
    async with launched(str(path), folder, bootstrap=bootstrap) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        yield connector, stub


@asynccontextmanager
async def _blocked(folder: Path, stub: "ConnectorServiceAsyncStub") -> AsyncIterator[None]:
    """Block the connector's loop meanwhile."""
    os.mkfifo(folder / "gate")
    call = stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=WAIT_SECONDS)
    running = asyncio.ensure_future(call)
    await path_exists(folder / "blocked", WAIT_SECONDS)
    yield
    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.to_thread((folder / "gate").write_text, "")
        await running


async def test_a_blocked_loop_lives_as_a_process_and_does_not_serve(tmp_path: Path) -> None:
    async with _connected(tmp_path, STUCK) as (connector, stub):
        address = connector.handshake["health_address"]
        async with watching_at(address, SERVICE) as following:
            assert await following.next_status() == SERVING
            async with _blocked(tmp_path, stub):
                assert await following.next_status() == NOT_SERVING
                assert await check(address, SERVICE) == NOT_SERVING
                assert await check(address) == SERVING
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await check(connector.handshake["address"], seconds=IMPATIENT_SECONDS)
                assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await following.next_status() == SERVING
        assert await check(connector.handshake["address"], SERVICE) == SERVING


async def test_the_line_that_blocks_the_loop_is_logged_once(tmp_path: Path) -> None:
    async with _connected(tmp_path, STUCK) as (connector, stub):
        async with watching_at(connector.handshake["health_address"], SERVICE) as following, _blocked(tmp_path, stub):
            await following.until(NOT_SERVING)
        connector.process.terminate()
        output = await connector.output()
    (line,) = (line for line in output.splitlines() if "event loop is blocked" in line)
    assert "WARNING" in line
    assert 'some_connector.py:8 in list_resources: open("gate").close()' in line


async def test_the_stacks_of_a_blocked_loop_name_the_line_that_blocks(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    stacks.write_text("kept\n")
    async with _connected(tmp_path, STUCK, stacks_path=str(stacks)) as (connector, stub):
        async with _blocked(tmp_path, stub):
            connector.process.send_signal(signal.SIGUSR1)
            text = await words_in(stacks, BLOCKING_LINE, WAIT_SECONDS)
        assert text.startswith("kept\n")
        assert text.count("Thread 0x") > 1
        assert connector.process.returncode is None


async def test_without_a_file_for_them_the_stacks_are_in_the_log(tmp_path: Path) -> None:
    async with _connected(tmp_path, STUCK) as (connector, stub):
        async with watching_at(connector.handshake["health_address"], SERVICE) as following, _blocked(tmp_path, stub):
            connector.process.send_signal(signal.SIGUSR1)
            await following.until(NOT_SERVING)
        connector.process.terminate()
        assert BLOCKING_LINE in await connector.output()


async def test_a_crash_leaves_stacks_and_its_signal(tmp_path: Path) -> None:
    stacks = tmp_path / "stacks.txt"
    async with _connected(tmp_path, STUCK, stacks_path=str(stacks)) as (connector, stub):
        request = pb.GetPricingRequest(connection_id="c1", resource_id="a")
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetPricing(request, timeout=SECONDS)
        assert await connector.exit_code() == -signal.SIGABRT
    assert "in get_pricing" in stacks.read_text()


async def test_a_stopped_process_shows_as_a_deadline_and_goes_on_unharmed(tmp_path: Path) -> None:
    async with _connected(tmp_path, QUIET) as (connector, _):
        address = connector.handshake["health_address"]
        async with grpc.aio.insecure_channel(address, options=CHANNEL_OPTIONS) as channel:
            assert await check_over(channel) == SERVING
            connector.process.send_signal(signal.SIGSTOP)
            try:
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await check_over(channel, seconds=IMPATIENT_SECONDS)
            finally:
                connector.process.send_signal(signal.SIGCONT)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert await check_over(channel) == SERVING


@pytest.mark.skipif(not Path("/proc").exists(), reason="memory is limited on Linux alone")
async def test_an_allocation_beyond_the_limit_fails_and_the_next_call_works(tmp_path: Path) -> None:
    async with _connected(tmp_path, GREEDY, memory_limit_bytes=2 * GIB) as (connector, stub):
        limits = Path(f"/proc/{connector.process.pid}/limits").read_text()  # noqa: ASYNC240 - no disk
        assert f"Max address space         {2 * GIB} " in limits
        request = pb.ListResourcesRequest(connection_id="c1")
        failed = await failure(stub.ListResources(request, timeout=SECONDS))
        fetch = pb.FetchArtifactRequest(connection_id="c1", platform_job_id="j", artifact_id="adapter")
        wrapped = await failure(stub.FetchArtifact(fetch, timeout=SECONDS))
        price = await stub.GetPricing(pb.GetPricingRequest(connection_id="c1", resource_id="a"), timeout=SECONDS)
        connector.process.terminate()
        output = await connector.output()
    assert price.price.amount_micros == 1_500_000
    for one in (failed, wrapped):
        assert (one.code, one.reason) == (grpc.StatusCode.INTERNAL, "CONNECTOR_BUG")
        assert "out of memory" in one.message
    (line,) = (line for line in output.splitlines() if failed.info.metadata["error_id"] in line)
    assert "some_connector.py" in line


async def test_64_logs_are_followed_at_once_and_other_calls_are_answered(tmp_path: Path) -> None:
    async with _connected(tmp_path, QUIET) as (_, stub):
        requests = [pb.StreamLogsRequest(connection_id="c1", platform_job_id=f"job-{n}") for n in range(64)]
        calls = [stub.StreamLogs(request, timeout=WAIT_SECONDS) for request in requests]
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                messages = await asyncio.gather(*(anext(aiter(call)) for call in calls))
            status = pb.GetJobStatusRequest(connection_id="c1", platform_job_id="job-0")
            await stub.GetJobStatus(status, timeout=SECONDS)
            assert not any(call.done() for call in calls)
        finally:
            for call in calls:
                call.cancel()
    assert [message.lines[0].text for message in messages] == [f"job-{n}" for n in range(64)]
