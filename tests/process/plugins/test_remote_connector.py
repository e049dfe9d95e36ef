"""A connector that somebody else runs, at an address."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from peftstudio.gateway.v1 import (
    connections_service_pb2,
    connectors_service_pb2,
    jobs_service_pb2,
)
from peftstudio.gateway.v1.connectors_service_pb2 import (
    CONNECTOR_STATE_ATTACHED,
    CONNECTOR_STATE_QUARANTINED,
    Connector,
)
from peftstudio.job.v1.job_state_pb2 import JOB_STATE_SUCCEEDED
from tests.process.gateway.conftest import ended, eventually, expected, follow, wish
from tests.support.authority import Authority
from tests.support.gateway_process import PLUGINS, Stubs, gateway_process

pytestmark = pytest.mark.process

SECRET = "5d1f0b7c9e3a4d2860c1e5b7a9d3f1e26b8c4a0d7e9f1b3c"
FILES = {"ca": "ca.pem", "certificate": "gateway.pem", "key": "gateway.key"}


@dataclass
class Remote:
    """A connector that listens on a port of this machine, and the settings of a gateway that calls it."""

    tmp_path: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def token(self) -> Path:
        return self.tmp_path / "token"

    def start(self, *options: str) -> None:
        target = str(PLUGINS / "lab_connector.py")
        command = [sys.executable, "-m", "connector_sdk", "serve", target, "--listen", f"127.0.0.1:{self.port}"]
        command += ["--token-file", str(self.token), *options]
        work = self.tmp_path / "work"
        work.mkdir(exist_ok=True)
        with (self.tmp_path / "remote.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=work, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def entry(self, **more: object) -> dict[str, object]:
        return {"address": f"127.0.0.1:{self.port}", "token_file": str(self.token), **more}


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[Remote]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = Remote(tmp_path, port)
    made.token.write_text(SECRET)
    made.token.chmod(0o600)
    authority = Authority(tmp_path / "tls")
    authority.sign("remote", x509.IPAddress(ip_address("127.0.0.1")))
    authority.sign("gateway", x509.DNSName("gateway"))
    Authority(tmp_path / "other").sign("remote", x509.IPAddress(ip_address("127.0.0.1")))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


def tls(tmp_path: Path, *names: str, folder: str = "tls") -> dict[str, str]:
    return {name: str(tmp_path / folder / FILES[name]) for name in names}


def served(tmp_path: Path) -> list[str]:
    folder = tmp_path / "tls"
    return ["--tls-certificate", str(folder / "remote.pem"), "--tls-key", str(folder / "remote.key")]


@asynccontextmanager
async def gateway(tmp_path: Path, entry: dict[str, object]) -> AsyncIterator[Stubs]:
    """Run a gateway that knows the remote connector as `far`."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "connectors.json").write_text(json.dumps({"far": entry}))
    async with gateway_process(data) as running, running.connected() as stubs:
        yield stubs
        assert SECRET not in running.log_path.read_text()


async def connect(stubs: Stubs) -> None:
    request = connections_service_pb2.ConnectRequest(connector_id="far", credentials={"api_key": "canary-77a1b2"})
    await stubs.connections.Connect(request, timeout=40)


async def known(stubs: Stubs) -> Connector:
    answer = await stubs.connectors.ListConnectors(connectors_service_pb2.ListConnectorsRequest(), timeout=30)
    return next(one for one in answer.connectors if one.id == "far")


async def refusal(stubs: Stubs) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await connect(stubs)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    return refused.value.details() or ""


async def submit(stubs: Stubs, **options: float) -> str:
    request = wish(options=options)
    request.connection_id = "far"
    return (await stubs.jobs.SubmitJob(request, timeout=30)).job.id


async def test_a_remote_connector_is_used_over_tls_like_any_other(remote: Remote) -> None:
    folder = remote.tmp_path / "tls"
    remote.start(*served(remote.tmp_path), "--client-ca", str(folder / "ca.pem"))
    settings = tls(remote.tmp_path, "ca", "certificate", "key")
    async with gateway(remote.tmp_path, remote.entry(tls=settings)) as stubs:
        await connect(stubs)
        job_id = await submit(stubs, lines=2000)
        assert await follow(stubs, job_id) == expected(2000)
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED
        one = await known(stubs)
        assert (one.state, one.pid, one.version) == (CONNECTOR_STATE_ATTACHED, 0, "1.0.0")
    # The gateway's end is not the connector's.
    assert remote.process is not None
    assert remote.process.poll() is None
    assert SECRET not in " ".join(remote.process.args)  # type: ignore[arg-type]
    assert remote.end() == 0


@pytest.mark.timeout(300)
async def test_a_remote_connector_that_dies_and_comes_back_loses_no_line(remote: Remote) -> None:
    remote.start(*served(remote.tmp_path))
    async with gateway(remote.tmp_path, remote.entry(tls=tls(remote.tmp_path, "ca"))) as stubs:
        await connect(stubs)
        job_id = await submit(stubs, lines=3000, pace=600)
        following = asyncio.create_task(follow(stubs, job_id, seconds=200))
        remote.end(signal.SIGKILL)

        async def is_away() -> bool:
            return "cannot be reached" in (await known(stubs)).message

        await eventually(is_away)
        again = connections_service_pb2.ConnectRequest(connector_id="far", name="again", credentials={"api_key": "key"})
        with pytest.raises(grpc.aio.AioRpcError, match=f"127.0.0.1:{remote.port}"):
            await stubs.connections.Connect(again, timeout=5)
        remote.start(*served(remote.tmp_path))
        assert await following == expected(3000)
        assert (await ended(stubs, job_id)).state == JOB_STATE_SUCCEEDED


async def test_a_gateway_without_the_secret_is_refused(remote: Remote) -> None:
    remote.start(*served(remote.tmp_path))
    wrong = remote.tmp_path / "wrong"
    wrong.write_text("another secret of thirty-two bytes or more")
    wrong.chmod(0o600)
    entry = remote.entry(tls=tls(remote.tmp_path, "ca"))
    async with gateway(remote.tmp_path, {**entry, "token_file": str(wrong)}) as stubs:
        assert "token" in await refusal(stubs)


async def test_an_impostor_without_the_secret_is_sent_nothing(remote: Remote) -> None:
    genuine = remote.token.read_text()
    remote.token.write_text("another secret of thirty-two bytes or more")
    remote.start(*served(remote.tmp_path))

    async def listens() -> bool:
        return b"serving" in (remote.tmp_path / "remote.log").read_bytes()

    await eventually(listens)
    remote.token.write_text(genuine)
    async with gateway(remote.tmp_path, remote.entry(tls=tls(remote.tmp_path, "ca"))) as stubs:
        await refusal(stubs)
        assert not (remote.tmp_path / "work" / "jobs").exists()


@pytest.mark.parametrize(
    ("names", "folder", "more"),
    [
        pytest.param(("ca",), "other", {}, id="another authority"),
        pytest.param(("ca",), "tls", {"server_name": "elsewhere.example"}, id="another name"),
    ],
)
async def test_a_connector_that_is_not_the_one_is_not_spoken_to(
    remote: Remote, names: tuple[str, ...], folder: str, more: dict[str, str]
) -> None:
    remote.start(*served(remote.tmp_path))
    settings = {**tls(remote.tmp_path, *names, folder=folder), **more}
    async with gateway(remote.tmp_path, remote.entry(tls=settings)) as stubs:
        assert f"cannot be reached at 127.0.0.1:{remote.port}" in await refusal(stubs)


async def test_a_connector_that_wants_certificates_refuses_a_gateway_without_one(remote: Remote) -> None:
    remote.start(*served(remote.tmp_path), "--client-ca", str(remote.tmp_path / "tls" / "ca.pem"))
    async with gateway(remote.tmp_path, remote.entry(tls=tls(remote.tmp_path, "ca"))) as stubs:
        assert "cannot be reached" in await refusal(stubs)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        pytest.param({"address": "nowhere"}, "is not host:port", id="address"),
        pytest.param({"token_file": "/nowhere/token"}, "cannot be read", id="no token"),
        pytest.param({"tls": {"ca": "/nowhere/ca.pem"}}, "/nowhere/ca.pem cannot be read", id="no authority"),
        pytest.param({"attach": True}, "exclude each other", id="attach"),
    ],
)
async def test_settings_that_cannot_be_used_are_told_and_harm_no_other(
    remote: Remote, change: dict[str, object], why: str
) -> None:
    async with gateway(remote.tmp_path, {**remote.entry(), **change}) as stubs:
        one = await known(stubs)
        assert one.state == CONNECTOR_STATE_QUARANTINED
        assert why in one.message
        assert len((await stubs.jobs.ListJobs(jobs_service_pb2.ListJobsRequest(), timeout=10)).jobs) == 0


async def test_a_secret_that_others_can_read_is_not_used_by_either_side(remote: Remote) -> None:
    remote.token.chmod(0o644)
    remote.start()
    assert remote.process is not None
    assert await asyncio.to_thread(remote.process.wait, 20) == 78
    assert b"can be read by others" in (remote.tmp_path / "remote.log").read_bytes()
    async with gateway(remote.tmp_path, remote.entry()) as stubs:
        assert "can be read by others" in (await known(stubs)).message


def test_an_address_of_other_machines_is_not_served_without_a_certificate(remote: Remote) -> None:
    command = [sys.executable, "-m", "connector_sdk", "serve", str(PLUGINS / "lab_connector.py")]
    command += ["--listen", "192.0.2.1:7000", "--token-file", str(remote.token)]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=30, env=dict(os.environ))
    assert refused.returncode == 78
    assert "give --tls-certificate and --tls-key" in refused.stderr
