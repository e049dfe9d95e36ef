"""The program `peftstudio-connector`, as an author types it."""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import grpc
import pytest

from connector_sdk._client_tokens import token_interceptors
from connector_sdk._options import CHANNEL_OPTIONS
from connector_sdk.conformance.reports.junit import as_junit
from connector_sdk.conformance.runner import run
from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1.connector_service_pb2_grpc import ConnectorServiceStub
from tests.support.conformance import CONFORMING, ENVIRONMENT, KEY, ROOT, conforming
from tests.support.signals import send

pytestmark = pytest.mark.process

PROGRAM = (sys.executable, "-m", "connector_sdk.cli.main")
LAB = str(ROOT / "tests" / "support" / "plugins" / "lab_connector.py")
WAIT_SECONDS = 60


def program(*arguments: str, cwd: Path, env: Mapping[str, str] = ENVIRONMENT) -> subprocess.CompletedProcess[str]:
    """Run one command of the program."""
    return subprocess.run(
        [*PROGRAM, *arguments], cwd=cwd, env=env, capture_output=True, text=True, timeout=WAIT_SECONDS
    )


def test_a_good_connector_ends_the_command_with_0_and_both_reports(tmp_path: Path) -> None:
    (tmp_path / "credentials.json").write_text(json.dumps({"api_key": KEY}))
    reports = ("--json", "report.json", "--junit", "report.xml", "--credentials-file", "credentials.json")
    chosen = ("--only", "describe", "--only", "logs.offset", "--env", "PYTHONPATH")
    ended = program("check", *reports, *chosen, *CONFORMING, cwd=tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "describe.name" in ended.stdout
    assert "conforms: " in ended.stdout.splitlines()[-1]
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["conforms"]
    assert report["counts"]["skipped"] == 1
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert int(suite.attrib["tests"]) == len(report["checks"])
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("0", "1")


def test_a_bad_connector_ends_the_command_with_1_and_says_what_to_do(tmp_path: Path) -> None:
    arguments = ("check", "--quiet", "--only", "socket", "--env", "PYTHONPATH", *CONFORMING, "open-socket")
    ended = program(*arguments, cwd=tmp_path)
    assert ended.returncode == 1
    assert "FAILED  socket.mode" in ended.stdout
    assert "remedy: Set the umask" in ended.stdout
    assert "socket.tidy" not in ended.stdout


def test_what_cannot_be_launched_is_told(tmp_path: Path) -> None:
    ended = program("check", "--only", "handshake", "./no-such-program", cwd=tmp_path)
    assert ended.returncode == 1
    assert "cannot run ./no-such-program" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Name a connector to launch"),
        (("--address", "127.0.0.1:1", "./x"), "Name a connector to launch"),
        (("--address", "127.0.0.1:1"), "--token-file"),
        (("--only", "nothing", "./x"), "There is no check nothing"),
        (("none/connector.toml",), "cannot be read"),
        (("--credentials-file", "none.json", "./x"), "cannot be read"),
    ],
)
def test_a_command_that_cannot_be_used_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    ended = program("check", *arguments, cwd=tmp_path)
    assert (ended.returncode, words in ended.stderr) == (2, True), ended.stderr


async def test_a_failure_in_junit_has_what_was_seen_and_the_remedy() -> None:
    report = await run(conforming("open-socket", only=["socket.mode"]))
    failure = ElementTree.fromstring(as_junit(report)).find("testcase/failure")
    assert failure is not None
    assert "0777" in failure.attrib["message"]
    assert "umask" in (failure.text or "")


async def test_a_connector_at_an_address_is_checked_and_nothing_is_launched(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(secrets.token_hex(32))
    (tmp_path / "credentials.json").write_text(
        json.dumps({"accepted": {"api_key": "key-of-the-account"}, "rejected": {"api_key": "revoked"}})
    )
    # A port that was free a moment ago, taken by nobody else meanwhile: the connector says so otherwise.
    port = await _free_port()
    served = await asyncio.create_subprocess_exec(
        *(*PROGRAM, "serve", "--listen", f"127.0.0.1:{port}", "--token-file", str(token_file), LAB),
        cwd=tmp_path,
        env=dict(ENVIRONMENT),
    )
    try:
        files = ("--token-file", str(token_file), "--credentials-file", "credentials.json", "--json", "report.json")
        groups = [word for group in ("tokens", "health", "jobs", "connections") for word in ("--only", group)]
        arguments = ("check", "--address", f"127.0.0.1:{port}", *files, *groups, "--only", "ending")
        ended = await asyncio.to_thread(program, *arguments, cwd=tmp_path)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        outcomes = {one["id"]: one["outcome"] for one in json.loads((tmp_path / "report.json").read_text())["checks"]}
        assert {outcomes[name] for name in ("tokens.proof", "tokens.missing", "jobs.keyed")} == {"passed"}
        assert {outcomes[name] for name in ("ending.lifeline", "ending.shutdown")} == {"skipped"}
        assert served.returncode is None
    finally:
        served.terminate()
        await served.wait()


async def test_a_connector_in_the_foreground_serves_the_gateway_that_wrote_its_bootstrap(tmp_path: Path) -> None:
    bootstrap = {
        "version": 1,
        "instance_id": "lab",
        "socket": str(tmp_path / "s"),
        "gateway_token": "g" * 43,
        "connector_token": "c" * 43,
        "protocols": [1],
        "work_dir": str(tmp_path),
    }
    (tmp_path / "bootstrap.json").write_text(json.dumps(bootstrap))
    command = (*PROGRAM, "serve", "--bootstrap", str(tmp_path / "bootstrap.json"), LAB)
    served = await asyncio.create_subprocess_exec(
        *command, env=dict(ENVIRONMENT), stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        interceptors = token_interceptors("g" * 43)
        address = f"unix:{tmp_path / 's'}"
        async with grpc.aio.insecure_channel(address, CHANNEL_OPTIONS, interceptors=interceptors) as channel:
            call = ConnectorServiceStub(channel).Describe(
                pb.DescribeRequest(), timeout=WAIT_SECONDS, wait_for_ready=True
            )
            assert (await call).name == "lab"
        assert served.stderr is not None
        async with asyncio.timeout(WAIT_SECONDS):
            while f"serves the gateway at {address}; Ctrl-C ends it" not in (await served.stderr.readline()).decode():
                assert not served.stderr.at_eof()
        send(served.pid, signal.SIGINT)
        async with asyncio.timeout(WAIT_SECONDS):
            assert await served.wait() == 0
    finally:
        if served.returncode is None:
            served.kill()
            await served.wait()


async def _free_port() -> int:
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    port: int = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    return port
