"""The launch contract, with a process that is really launched."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from connector_sdk._contract import contract_digest
from connector_sdk._watch import TERM_GRACE_SECONDS
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.sdk import required_connector, variant_connector
from tests.support.sdk.files import path_exists
from tests.support.sdk.launching import CONNECTOR_TOKEN, WAIT_SECONDS, launched
from tests.support.sdk.rpc import SECONDS

pytestmark = pytest.mark.process

PLAIN = "tests.support.sdk.required_connector:PlainConnector"
VARIANT = Path(variant_connector.__file__).read_text()
REQUIRED = Path(required_connector.__file__).read_text()
ENDS_WITHIN_SECONDS = 1.5  # the protocol's second, and what a busy machine adds to it

BLOCKING = """
import sys, time
print("banner on stdout", flush=True)
print("banner on stderr", file=sys.stderr, flush=True)
from tests.support.sdk.required_connector import PlainConnector

class BlockingConnector(PlainConnector):
    name = "blocking"

    async def list_resources(self):
        open("blocked", "w").close()
        time.sleep(3600)

    async def submit_job(self, config):
        print("submitting", config.base_model, flush=True)
        return sys.stdin.read() + "read nothing"
"""


def _file(folder: Path, content: str, name: str = "some_connector.py") -> str:
    path = folder / name
    path.write_text(content)
    return str(path)


def _start_ticks(pid: int) -> int | None:
    path = Path(f"/proc/{pid}/stat")
    # The name of the program has no blanks here.
    return int(path.read_text().split()[21]) if path.exists() else None


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


async def test_a_connector_handshakes_listens_privately_and_proves_itself(tmp_path: Path) -> None:
    async with launched(PLAIN, tmp_path) as connector:
        assert connector.handshake == {
            "version": 1,
            "protocol": 1,
            "address": f"unix:{connector.socket}",
            "pid": connector.process.pid,
            "sdk": "peftstudio-connect-python/0.1.0",
            "protocols": [1],
            "start_time": _start_ticks(connector.process.pid),
            "boot_id": _boot_id(),
            "contract_digest": contract_digest(),
            "health_address": f"unix:{connector.socket}.health",
        }
        assert stat.S_IMODE(connector.socket.stat().st_mode) == 0o600
        async with connector.channel() as channel:
            call = ConnectorServiceStub(channel).Describe(pb.DescribeRequest(), timeout=SECONDS)
            assert (await call).name == "plain"
            assert dict(await call.initial_metadata())["x-connector-token"] == CONNECTOR_TOKEN
            health = health_pb2_grpc.HealthStub(channel)
            answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=SECONDS)  # type: ignore[attr-defined]
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_a_connector_ends_within_a_second_once_its_gateway_is_gone(tmp_path: Path) -> None:
    async with launched(PLAIN, tmp_path) as connector:
        connector.cut_lifeline()
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            assert await connector.process.wait() == 0


async def test_a_connector_that_blocks_ends_within_a_second_too(tmp_path: Path) -> None:
    async with launched(_file(tmp_path, BLOCKING), tmp_path) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        call = stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=WAIT_SECONDS)
        running = asyncio.ensure_future(call)
        await path_exists(tmp_path / "blocked", WAIT_SECONDS)
        connector.cut_lifeline()
        async with asyncio.timeout(ENDS_WITHIN_SECONDS):
            assert await connector.process.wait() == 0
        with pytest.raises(grpc.aio.AioRpcError):
            await running


@pytest.mark.parametrize("by_signal", [True, False])
async def test_a_connector_that_is_asked_to_end_finishes_what_is_under_way(tmp_path: Path, by_signal: bool) -> None:
    slow = (
        "import asyncio\n"
        "from tests.support.sdk.required_connector import PlainConnector\n"
        "class SlowConnector(PlainConnector):\n"
        "    async def submit_job(self, config):\n"
        "        open('started', 'w').close()\n"
        "        await asyncio.sleep(0.5)\n"
        "        return 'finished'\n"
    )
    async with launched(_file(tmp_path, slow), tmp_path) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        request = pb.SubmitJobRequest(connection_id="c1")
        request.config.base_model, request.config.dataset_path = "m", "d"
        running = asyncio.ensure_future(stub.SubmitJob(request, timeout=SECONDS))
        await path_exists(tmp_path / "started", WAIT_SECONDS)
        if by_signal:
            connector.process.send_signal(signal.SIGTERM)
        else:
            grace = pb.ShutdownRequest()
            grace.grace.FromSeconds(5)
            await stub.Shutdown(grace, timeout=SECONDS)
        assert (await running).platform_job_id == "finished"
        assert await connector.exit_code() == 0
        assert not connector.socket.exists()


async def test_an_open_log_does_not_hold_up_an_end_and_is_cut_to_be_continued(tmp_path: Path) -> None:
    quiet = REQUIRED.replace("yield line", "yield line\n        import asyncio; await asyncio.Event().wait()")
    async with launched(_file(tmp_path, quiet), tmp_path) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        call = stub.StreamLogs(pb.StreamLogsRequest(connection_id="c1"), timeout=WAIT_SECONDS)
        messages = [await anext(aiter(call))]
        connector.process.terminate()
        async with asyncio.timeout(TERM_GRACE_SECONDS - 1):
            messages += [message async for message in call]
            assert await connector.process.wait() == 0
    assert [len(message.lines) for message in messages] == [2]
    assert not messages[0].end


async def test_what_is_printed_and_read_by_an_author_is_harmless(tmp_path: Path) -> None:
    async with launched(_file(tmp_path, BLOCKING), tmp_path) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        await stub.Connect(pb.ConnectRequest(connection_id="c1"), timeout=SECONDS)
        request = pb.SubmitJobRequest(connection_id="c1")
        request.config.base_model, request.config.dataset_path = "my-model", "d"
        answer = await stub.SubmitJob(request, timeout=SECONDS)
        connector.process.terminate()
        output = await connector.output()
    assert answer.platform_job_id == "read nothing"
    assert all(printed in output for printed in ("banner on stdout", "banner on stderr", "submitting my-model"))


async def test_a_bare_file_with_the_guides_imports_loads_from_anywhere(tmp_path: Path) -> None:
    async with (
        launched(_file(tmp_path, VARIANT, "variant_connector.py"), tmp_path) as connector,
        connector.channel() as channel,
    ):
        said = await ConnectorServiceStub(channel).Describe(pb.DescribeRequest(), timeout=SECONDS)
    assert said.name == "variant"


async def test_the_log_is_one_line_per_record_without_credentials(tmp_path: Path) -> None:
    content = REQUIRED.replace("return [Resource", "raise KeyError(str(self.credentials)) or [Resource")
    async with launched(_file(tmp_path, content), tmp_path) as connector, connector.channel() as channel:
        stub = ConnectorServiceStub(channel)
        request = pb.ConnectRequest(connection_id="c1", credentials={"api_key": "very-secret-key"})
        await stub.Connect(request, timeout=SECONDS)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.ListResources(pb.ListResourcesRequest(connection_id="c1"), timeout=SECONDS)
        connector.process.terminate()
        output = await connector.output()
    (line,) = (line for line in output.splitlines() if "error_id" in line)
    assert "Traceback" in line
    assert "KeyError" in line
    assert "very-secret-key" not in output
    assert "very-secret-key" not in (caught.value.details() or "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("import a_package_that_is_not_there", "No module named 'a_package_that_is_not_there'"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "has none"),
        (
            "from connectors.base import PlatformConnector\nclass A(PlatformConnector):\n    name = 'a'\n",
            "A lacks connect, disconnect, submit_job",
        ),
        (REQUIRED + "\n    def __init__(self):\n        self.x = missing\n", "name 'missing' is not defined"),
        (REQUIRED.replace('version = "1.2.3"', "version = 1.2"), "PlainConnector cannot be made and described"),
    ],
)
async def test_a_file_that_cannot_be_served_is_one_clear_error(tmp_path: Path, content: str, words: str) -> None:
    async with launched(_file(tmp_path, content), tmp_path) as connector:
        assert words in connector.handshake["error"]
        assert await connector.exit_code() == 78


@pytest.mark.parametrize(
    ("bootstrap", "words", "code"),
    [
        ({"socket": "/tmp/" + "x" * 100}, "112 bytes", 78),
        ({"protocols": [2, 3]}, "The gateway speaks protocols [2, 3], this connector [1]", 78),
        ({"memory_limit_bytes": 10**6}, "1000000 bytes", 78),
        ({"stacks_path": "/nowhere/at/all"}, "/nowhere/at/all", 78),
        ({"host_loss": "restart"}, "host_loss", 78),
        ({"version": 2}, "version", 78),
        ({"socket": "/nowhere/at/all"}, "/nowhere/at/all", 75),
    ],
)
async def test_a_bootstrap_that_cannot_be_met_is_one_clear_error(
    tmp_path: Path, bootstrap: dict[str, object], words: str, code: int
) -> None:
    async with launched(PLAIN, tmp_path, bootstrap=bootstrap) as connector:
        assert words in connector.handshake["error"]
        assert await connector.exit_code() == code


async def test_keys_of_a_newer_bootstrap_are_ignored(tmp_path: Path) -> None:
    async with launched(PLAIN, tmp_path, bootstrap={"novelty": {"a": 1}}) as connector:
        assert connector.handshake["protocol"] == 1


async def test_a_stale_socket_file_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("stale")
    async with launched(PLAIN, tmp_path) as connector:
        assert connector.handshake["pid"] == connector.process.pid


def test_without_a_gateway_a_connector_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "connector_sdk", "serve", PLAIN]
    for lines in ("", "hello\n"):
        ended = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=WAIT_SECONDS)
        assert ended.returncode == 78
        assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_a_connector_may_serve_itself(tmp_path: Path) -> None:
    program = _file(
        tmp_path,
        "from connector_sdk import serve\n"
        "from tests.support.sdk.required_connector import PlainConnector\n"
        "serve(PlainConnector)\n",
    )
    reader, writer = os.pipe()
    said = {
        "version": 1,
        "instance_id": "x",
        "socket": str(tmp_path / "s"),
        "protocols": [1],
        "gateway_token": "g",
        "connector_token": "c",
        "work_dir": str(tmp_path),
    }
    command = ["/bin/sh", "-c", f'exec "$@" 3>/dev/fd/{writer}', "sh", sys.executable, program]
    ended = subprocess.run(
        command, input=json.dumps(said) + "\n", text=True, pass_fds=(writer,), timeout=WAIT_SECONDS, check=True
    )
    os.close(writer)
    with os.fdopen(reader) as handshake:
        assert json.loads(handshake.readline())["protocol"] == 1
    assert ended.returncode == 0


def test_grpc_is_not_imported_before_its_environment_is_set() -> None:
    check = "import connector_sdk, connector_sdk._load, connectors.base, sys; sys.exit('grpc' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], timeout=WAIT_SECONDS, check=False).returncode == 0
