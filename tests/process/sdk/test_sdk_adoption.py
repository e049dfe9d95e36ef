"""What becomes of a connector whose gateway is gone."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from connector_sdk._options import CHANNEL_OPTIONS
from connector_sdk._watch import TERM_GRACE_SECONDS
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.sdk.files import link_leads_to
from tests.support.sdk.health import NOT_SERVING, SERVING, watching
from tests.support.sdk.launching import Launched, launched
from tests.support.sdk.rpc import SECONDS, submission

if TYPE_CHECKING:
    from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceAsyncStub

pytestmark = pytest.mark.process

LONG_SECONDS = 60.0
SHORT_SECONDS = 0.3
LONGER_THAN_SHORT_SECONDS = 1.0
ENDS_WITHIN_SECONDS = 1.5  # the protocol's second, and what a busy machine adds to it

TALKATIVE = """
import logging, subprocess
from tests.support.sdk.required_connector import PlainConnector

class TalkativeConnector(PlainConnector):
    async def submit_job(self, config):
        for _ in range(100):
            print("p" * 4096, flush=True)
            logging.getLogger("author").warning("l" * 4096)
        return "submitted"

    async def list_resources(self):
        subprocess.run(["sh", "-c", "for i in 1 2 3; do echo from a child; done"], check=True)
        return []
"""


@asynccontextmanager
async def _lingering(
    folder: Path, linger_seconds: float
) -> AsyncIterator[tuple[Launched, "ConnectorServiceAsyncStub"]]:
    """Start a connector that waits for adoption, and open a connection."""
    path = folder / "some_connector.py"
    path.write_text(TALKATIVE)
    said = {"host_loss": "linger", "linger_seconds": linger_seconds}
    async with launched(str(path), folder, bootstrap=said) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        yield connector, stub


async def _still_runs(connector: Launched, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await connector.process.wait()
    except TimeoutError:
        return True
    return False


async def test_an_adopted_connector_is_the_same_process_with_its_connections_open(tmp_path: Path) -> None:
    async with _lingering(tmp_path, LONG_SECONDS) as (connector, _):
        connector.leave()
        for _ in ("the next gateway", "the one after that"):
            async with connector.channel() as channel, watching(channel) as lifeline:
                assert await lifeline.next_status() == SERVING
                answer = await ConnectorServiceStub(channel).SubmitJob(submission(), timeout=SECONDS)
                assert answer.platform_job_id == "submitted"
        assert connector.process.returncode is None


async def test_nobody_reading_the_output_neither_ends_nor_blocks_a_connector(tmp_path: Path) -> None:
    async with _lingering(tmp_path, LONG_SECONDS) as (connector, stub):
        connector.leave()
        for _ in range(3):
            answer = await stub.SubmitJob(submission(), timeout=SECONDS)
            assert answer.platform_job_id == "submitted"
        connector.process.terminate()
        assert await connector.exit_code() == 0


@pytest.mark.skipif(not Path("/proc").exists(), reason="where output goes is seen in /proc alone")
async def test_the_children_of_a_connector_whose_output_nobody_reads_are_not_ended_by_it(tmp_path: Path) -> None:
    async with _lingering(tmp_path, LONG_SECONDS) as (connector, stub):
        connector.leave()
        for descriptor in (1, 2):
            output = Path(f"/proc/{connector.process.pid}/fd/{descriptor}")
            await link_leads_to(output, Path(os.devnull), SECONDS)
        answer = await stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
        assert not answer.resources


async def test_a_broken_pipe_is_survived_while_the_gateway_lives_too(tmp_path: Path) -> None:
    async with _lingering(tmp_path, LONG_SECONDS) as (connector, stub):
        connector.stop_reading()
        answer = await stub.SubmitJob(submission(), timeout=SECONDS)
        assert answer.platform_job_id == "submitted"


async def test_a_connector_that_nobody_adopts_drains_and_exits(tmp_path: Path) -> None:
    async with _lingering(tmp_path, SHORT_SECONDS) as (connector, _):
        connector.leave()
        async with asyncio.timeout(TERM_GRACE_SECONDS):
            assert await connector.process.wait() == 0
        left = sorted(path.name for path in connector.socket.parent.glob("s*"))
        assert left == ["some_connector.py"]


async def test_a_watch_holds_a_connector_and_its_end_starts_the_wait_again(tmp_path: Path) -> None:
    async with _lingering(tmp_path, SHORT_SECONDS) as (connector, stub):
        async with connector.channel() as channel, watching(channel) as lifeline:
            assert await lifeline.next_status() == SERVING
            connector.leave()
            assert await _still_runs(connector, LONGER_THAN_SHORT_SECONDS)
            await stub.SubmitJob(submission(), timeout=SECONDS)
        async with asyncio.timeout(TERM_GRACE_SECONDS):
            assert await connector.process.wait() == 0


@pytest.mark.parametrize("metadata", [(), (("authorization", "Bearer wrong"),)])
async def test_a_watch_without_the_gateways_token_holds_nothing(
    tmp_path: Path, metadata: tuple[tuple[str, str], ...]
) -> None:
    async with (
        _lingering(tmp_path, SHORT_SECONDS) as (connector, _),
        grpc.aio.insecure_channel(connector.handshake["address"], options=CHANNEL_OPTIONS) as channel,
        watching(channel, metadata=metadata) as stranger,
    ):
        assert await stranger.next_status() == SERVING
        connector.leave()
        async with asyncio.timeout(TERM_GRACE_SECONDS):
            assert await connector.process.wait() == 0


async def test_a_lingering_connector_still_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    async with _lingering(tmp_path, LONG_SECONDS) as (connector, _):
        connector.leave()
        async with connector.channel() as channel, watching(channel) as lifeline:
            assert await lifeline.next_status() == SERVING
            connector.process.terminate()
            async with asyncio.timeout(TERM_GRACE_SECONDS - 1):
                assert await lifeline.next_status() == NOT_SERVING
                assert await lifeline.next_status() is None
                assert await connector.process.wait() == 0


async def test_a_watch_does_not_hold_a_connector_that_is_to_exit_with_its_gateway(tmp_path: Path) -> None:
    path = tmp_path / "some_connector.py"
    path.write_text(TALKATIVE)
    async with (
        launched(str(path), tmp_path) as connector,
        connector.channel() as channel,
        watching(channel) as lifeline,
    ):
        assert await lifeline.next_status() == SERVING
        connector.leave()
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            assert await connector.process.wait() == 0
