from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.artifacts.model import Upload, UploadPurpose
from gateway.errors import ConnectorDown, GatewayError, InvalidRequest, Reason, RemoteError, Unsupported
from gateway.jobs.model import JobConfig, JobState, Observation
from gateway.platform import Platform, SubmitOrder
from gateway.plugins.model import ConnectorState
from tests.support.launched import Bench, plain
from tests.support.signals import send

pytestmark = pytest.mark.process


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with Bench(tmp_path) as bench:
        yield bench


def order(base_model: str) -> SubmitOrder:
    document = f'{{"base_model":"{base_model}","dataset_path":"d"}}'
    config = JobConfig(base_model=base_model, dataset_uri="d", algorithm="lora", document=document)
    return SubmitOrder(job_id="j1", submission_token="token-1", config=config, resource_id="", labels={})


async def test_a_connection_is_opened_by_the_first_call_that_needs_it(bench: Bench) -> None:
    platform: Platform = bench.platform()
    assert (await platform.verify()).startswith("tester ")
    assert await platform.submit(order("m")) == "token-1"
    assert bench.loads == 1


async def test_many_calls_at_once_open_a_connection_once(bench: Bench) -> None:
    accounts = await asyncio.gather(*(bench.platform().verify() for _ in range(10)))
    assert bench.loads == 1
    assert {account.split()[-1] for account in accounts} == {"1"}


async def test_credentials_that_are_refused_are_the_callers_error(bench: Bench) -> None:
    with pytest.raises(RemoteError) as caught:
        await bench.platform(key="wrong").verify()
    assert caught.value.reason is Reason.CREDENTIALS_REJECTED


async def test_credentials_are_in_no_line_that_is_kept_or_heard(bench: Bench) -> None:
    await bench.platform(key="canary-credential").verify()
    await bench.connectors.restart("plain")
    assert "canary-credential" not in " ".join(bench.heard)
    assert any("'api_key': '[redacted]'" in line for line in bench.heard)


async def test_forgotten_credentials_are_loaded_again(bench: Bench) -> None:
    platform = bench.platform()
    await platform.verify()
    await platform.disconnect()
    await platform.verify()
    assert bench.loads == 2


async def test_a_call_after_a_crash_reaches_the_next_process(bench: Bench) -> None:
    platform = bench.platform()
    await platform.verify()
    send(bench.connectors.status("plain").pid, signal.SIGKILL)
    assert (await platform.verify()).startswith("tester ")
    assert bench.connectors.status("plain").generation == 2


async def test_a_read_under_which_the_process_dies_is_made_again(bench: Bench) -> None:
    seen = await bench.platform().look(["crash-once"])
    assert isinstance(seen["crash-once"], Observation)
    assert bench.connectors.status("plain").generation == 2


async def test_a_submission_under_which_the_process_dies_is_not_made_again(bench: Bench) -> None:
    with pytest.raises(ConnectorDown):
        await bench.platform().submit(order("crash"))
    await bench.until(ConnectorState.READY, newer_than=1)
    assert len(bench.connectors.deaths("plain")) == 1


async def test_a_check_returns_all_violations(bench: Bench) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await bench.platform().check(order("bad"))
    assert {violation.field for violation in caught.value.violations} == {"config.rank", "config.alpha"}


async def test_an_error_keeps_the_connectors_reason_and_its_advice(bench: Bench) -> None:
    with pytest.raises(RemoteError) as caught:
        await bench.platform().submit(order("busy"))
    assert (caught.value.reason, caught.value.message) == (Reason.RATE_LIMITED, "slow down")
    assert caught.value.retry_after is not None
    assert caught.value.retry_after.total_seconds() == 7


async def test_what_is_not_declared_is_not_asked(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="pause_job"):
        await bench.platform().pause("j")


async def test_what_is_not_implemented_is_unsupported(bench: Bench) -> None:
    with pytest.raises(Unsupported, match="ListResources"):
        await bench.platform().resources()


@pytest.mark.parametrize("faults", [(), ("batch",)], ids=["one by one", "together"])
async def test_each_job_that_is_looked_at_has_an_answer_of_its_own(tmp_path: Path, faults: tuple[str, ...]) -> None:
    async with Bench(tmp_path, [plain(*faults)]) as bench:
        platform = bench.platform()
        await platform.cancel("b")
        seen = await platform.look(["a", "b", "unknown"])
    states = {job: one.state for job, one in seen.items() if isinstance(one, Observation)}
    assert states == {"a": JobState.RUNNING, "b": JobState.CANCELLED}
    error = seen["unknown"]
    assert isinstance(error, GatewayError)
    assert error.reason is Reason.NOT_FOUND


async def test_a_log_is_read_from_a_line_to_its_end(bench: Bench) -> None:
    batches = [batch async for batch in bench.platform().logs("j", cursor="", after_line=7)]
    assert [line.seq for batch in batches for line in batch.lines] == [8, 9, 10]
    assert batches[-1].is_end


async def test_a_log_whose_process_dies_is_cut_and_can_be_continued(bench: Bench) -> None:
    platform = bench.platform()
    first = []
    with pytest.raises(ConnectorDown):  # noqa: PT012 - it is cut while it is read
        async for batch in platform.logs("crash-log", cursor="", after_line=0):
            first.append(batch)  # noqa: PERF401 - those before the cut are wanted
    assert [line.seq for batch in first for line in batch.lines] == [1, 2, 3, 4, 5]
    assert not first[-1].is_end
    await bench.until(ConnectorState.READY, newer_than=1)
    rest = [batch async for batch in platform.logs("crash-log", cursor="", after_line=5)]
    assert [line.seq for batch in rest for line in batch.lines] == [6, 7, 8, 9, 10]


async def test_a_file_is_fetched_from_an_offset(bench: Bench) -> None:
    platform = bench.platform()
    (artifact,) = await platform.artifacts("j")
    pieces = [piece async for piece in platform.fetch("j", artifact, 10)]
    data = b"".join(piece.data for piece in pieces)
    assert pieces[0].offset == 10
    assert data == (b"0123456789" * 30_000)[10:]


async def test_a_file_with_a_hole_is_refused(tmp_path: Path) -> None:
    async with Bench(tmp_path, [plain("holes")]) as bench:
        platform = bench.platform()
        (artifact,) = await platform.artifacts("j")
        with pytest.raises(RemoteError) as caught:
            _ = [piece async for piece in platform.fetch("j", artifact, 0)]
    assert caught.value.reason is Reason.BAD_UPSTREAM


async def test_a_file_is_uploaded_whole(bench: Bench, tmp_path: Path) -> None:
    data = b"x" * 700_000
    path = tmp_path / "adapter.bin"
    path.write_bytes(data)
    digest = sha256(data).hexdigest()
    upload = Upload(id="u", purpose=UploadPurpose.ARTIFACT, name="adapter.bin", size=len(data), sha256=digest)
    assert await bench.platform().upload(upload, path) == "adapter.bin:700000"


async def test_a_caller_that_gives_up_is_let_go(bench: Bench) -> None:
    platform = bench.platform()
    await platform.verify()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await platform.look(["hang"])


async def test_a_call_during_the_gateways_stop_ends_with_an_error(tmp_path: Path) -> None:
    async with Bench(tmp_path) as bench:
        platform = bench.platform()
        await platform.verify()
        hanging = asyncio.create_task(platform.look(["hang"]))
        await asyncio.sleep(0)
    async with asyncio.timeout(20):
        seen = await hanging
    assert isinstance(seen["hang"], GatewayError)
