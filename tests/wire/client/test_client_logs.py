"""A follower of a log gets each line once and in order, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import tempfile
from datetime import timedelta
from pathlib import Path

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.client import Client, GatewayCallError, SyncClient
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_RUNNING
from peftstudio.job.v1.log_pb2 import LOG_STREAM_SYSTEM, LogFilter, LogGap, LogLine
from tests.support.fake_gateway import FakeGateway, running_fake_gateway

pytestmark = [pytest.mark.wire, pytest.mark.timeout(30)]


async def _read(client: Client, job_id: str, tail: int | None = None) -> list[LogLine]:
    async with asyncio.timeout(20):
        return [line async for line in client.jobs.logs(job_id, follow=True, tail=tail)]


@settings(max_examples=25, deadline=None)
@given(
    count=st.integers(0, 40),
    cuts=st.lists(st.integers(0, 6), max_size=6),
    quiet=st.booleans(),
    overlap=st.integers(0, 5),
)
def test_no_line_is_lost_or_repeated_however_the_stream_is_cut(
    count: int, cuts: list[int], quiet: bool, overlap: int
) -> None:
    async def scenario() -> list[LogLine]:
        with tempfile.TemporaryDirectory() as folder:
            async with FakeGateway(Path(folder)) as fake, Client(data_dir=Path(folder)) as client:
                fake.state.add_job("j")
                fake.state.add_lines("j", *(f"line {number}" for number in range(1, count + 1)))
                fake.state.faults.log_cuts = list(cuts)
                fake.state.faults.quiet_cuts = quiet
                fake.state.faults.overlap_lines = overlap
                return await _read(client, "j")

    assert [line.text for line in asyncio.run(scenario())] == [f"line {n}" for n in range(1, count + 1)]


async def test_following_goes_on_over_a_restart_of_the_gateway_on_another_port(
    fake: FakeGateway, client: Client
) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    fake.state.add_lines("j", "one", "two")
    seen: list[str] = []
    cuts: list[GatewayCallError] = []
    async with asyncio.timeout(20):
        async for line in client.jobs.logs("j", follow=True, on_cut=cuts.append):
            seen.append(line.text)
            if line.text == "two":
                before = client.address
                await fake.restart()
                fake.state.add_lines("j", "three")
                await fake.state.end_job("j")

    assert seen == ["one", "two", "three"]
    assert client.address != before
    assert cuts


async def test_a_changed_token_is_read_again_after_a_restart(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    fake.state.add_lines("j", "one")
    seen: list[str] = []
    async with asyncio.timeout(20):
        async for line in client.jobs.logs("j", follow=True):
            seen.append(line.text)
            if line.text == "one":
                fake.token = "another"
                await fake.restart()
                fake.state.add_lines("j", "two")
                await fake.state.end_job("j")

    assert seen == ["one", "two"]


async def test_a_gap_is_shown_as_a_line_of_the_systems_in_its_place(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", "one", "two", "three")
    fake.state.gaps["j"] = LogGap(from_seq=1, to_seq=2, why="retention")

    lines = await _read(client, "j")

    assert lines[0].stream == LOG_STREAM_SYSTEM
    assert lines[0].text == "lines 1 to 2 are missing: retention"
    assert [line.text for line in lines[1:]] == ["three"]


async def test_a_filter_and_a_cut_go_together(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", *(f"{'even' if n % 2 == 0 else 'odd'} {n}" for n in range(1, 21)))
    fake.state.faults.log_cuts = [1, 2, 0, 1]

    lines = [line async for line in client.jobs.logs("j", line_filter=LogFilter(contains="even"))]

    assert [line.seq for line in lines] == list(range(2, 21, 2))


async def test_the_tail_stays_the_tail_after_a_cut(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j")
    fake.state.add_lines("j", *map(str, range(1, 21)))
    fake.state.faults.log_cuts = [0, 1, 0]

    assert [line.seq for line in await _read(client, "j", tail=8)] == list(range(13, 21))


async def test_an_unknown_job_is_an_error_at_once(client: Client) -> None:
    with pytest.raises(GatewayCallError) as caught:
        await _read(client, "nothing")

    assert caught.value.reason == "NOT_FOUND"
    assert str(caught.value) == "there is no job 'nothing'"


async def test_a_gateway_that_stays_away_is_given_up(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    await fake.stop()

    with pytest.raises(GatewayCallError) as caught:
        async for _ in client.jobs.logs("j", follow=True, give_up_after=timedelta(seconds=0.3)):
            pass

    assert caught.value.code is grpc.StatusCode.UNAVAILABLE
    assert "does not answer" in str(caught.value)


async def test_whoever_stops_reading_leaves_no_call_behind(fake: FakeGateway, client: Client) -> None:
    fake.state.add_job("j", JOB_STATE_RUNNING)
    fake.state.add_lines("j", "one")
    lines = client.jobs.logs("j", follow=True)
    assert (await anext(lines)).text == "one"

    await lines.aclose()

    async with asyncio.timeout(5):
        await fake.state.announce()
        assert await client.jobs.get("j")


def test_the_blocking_client_follows_over_cuts_too(tmp_path: Path) -> None:
    with running_fake_gateway(tmp_path) as fake, SyncClient(data_dir=tmp_path) as client:
        fake.state.add_job("j")
        fake.state.add_lines("j", *map(str, range(30)))
        fake.state.faults.log_cuts = [2, 0, 3, 1]

        assert [line.text for line in client.jobs.logs("j", follow=True)] == list(map(str, range(30)))
