"""A connector without the SDK: what docs/protocol.md says, in plain grpc.aio, with switches for faults.

    python plain_connector.py [FAULT]...

Faults: banner (prints before the handshake), flood (prints a line of 70 kB), exit-N (exits with N at once),
refuse-N (writes an error instead of the handshake and exits with N), mute (writes no handshake), no-proof (sends no
token with its answers), stubborn (ignores Shutdown, the lifeline and SIGTERM), protocol-2, holes (sends a file's
bytes for wrong offsets), old-contract (was built with another contract), segv (crashes natively on SIGUSR2), orphan
(leaves a process in its session but not in its group), chatter-N (prints N lines at its start), slow (is NOT_SERVING
until a file `go` is in its folder), slow-exit (refuse-N takes its time to exit). `batch` is no fault: it declares
batch_get_job_status.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ["GRPC_VERBOSITY"] = "ERROR"

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1 import connector_service_pb2_grpc as pb_grpc
from peftstudio.job.v1 import job_state_pb2, log_pb2
from peftstudio.job.v1.artifact_pb2 import Artifact, Chunk

FAULTS = frozenset(sys.argv[1:])
Context = grpc.aio.ServicerContext[Any, Any]
FILE = b"0123456789" * 30_000


def fault_code(name: str) -> int | None:
    return next((int(fault.removeprefix(f"{name}-")) for fault in FAULTS if fault.startswith(f"{name}-")), None)


class Auth(grpc.aio.ServerInterceptor):
    """Checks the gateway's token and sends the connector's own."""

    def __init__(self, expected: str) -> None:
        self.expected = f"Bearer {expected}"

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        is_known = dict(details.invocation_metadata).get("authorization") == self.expected
        if is_known or details.method.startswith("/grpc.health"):
            return await continuation(details)

        async def refuse(_: object, context: Context) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "who are you?")

        return grpc.unary_unary_rpc_method_handler(refuse)


class Plain(pb_grpc.ConnectorServiceServicer):
    """Trains nothing: a job's id is its submission token, and its state RUNNING until it is cancelled."""

    def __init__(self, bootstrap: dict[str, object], ended: asyncio.Event) -> None:
        self.token = str(bootstrap["connector_token"])
        self.ended = ended
        self.open: dict[str, dict[str, str]] = {}
        self.cancelled: set[str] = set()
        self.connects = 0
        self.crowd = asyncio.Barrier(64)

    async def _greet(self, context: Context, connection: str | None = None) -> None:
        if "no-proof" not in FAULTS:
            await context.send_initial_metadata((("x-connector-token", self.token),))
        if connection is not None and connection not in self.open:
            await fail(context, grpc.StatusCode.FAILED_PRECONDITION, "NOT_CONNECTED", "connect first")

    async def Describe(self, request: pb.DescribeRequest, context: Context) -> pb.DescribeResponse:
        await self._greet(context)
        capabilities = ["cancel_job", "find_job", "dry_run"] + (["batch_get_job_status"] if "batch" in FAULTS else [])
        return pb.DescribeResponse(
            name="plain",
            display_name="Plain",
            version="1.2.3",
            capabilities=capabilities,
            log_source=pb.LOG_SOURCE_OFFSET,
            submit_safety=pb.SUBMIT_SAFETY_FINDABLE,
        )

    async def Connect(self, request: pb.ConnectRequest, context: Context) -> pb.ConnectResponse:
        await self._greet(context)
        print("credentials", dict(request.credentials), flush=True)
        if request.credentials.get("api_key") == "wrong":
            await fail(context, grpc.StatusCode.UNAUTHENTICATED, "CREDENTIALS_REJECTED", "the key is not accepted")
        self.connects += 1
        self.open[request.connection_id] = dict(request.credentials)
        return pb.ConnectResponse(account="tester")

    async def Disconnect(self, request: pb.DisconnectRequest, context: Context) -> pb.DisconnectResponse:
        await self._greet(context)
        self.open.pop(request.connection_id, None)
        return pb.DisconnectResponse()

    async def VerifyConnection(
        self, request: pb.VerifyConnectionRequest, context: Context
    ) -> pb.VerifyConnectionResponse:
        await self._greet(context, request.connection_id)
        return pb.VerifyConnectionResponse(account=f"tester {os.getpid()} {self.connects}")

    async def SubmitJob(self, request: pb.SubmitJobRequest, context: Context) -> pb.SubmitJobResponse:
        await self._greet(context, request.connection_id)
        match request.config.base_model:
            case "crash":
                os._exit(1)
            case "bad":
                await fail_fields(context, {"config.rank": "too large", "config.alpha": "too small"})
            case "busy":
                await fail(context, grpc.StatusCode.RESOURCE_EXHAUSTED, "RATE_LIMITED", "slow down", retry_seconds=7)
        return pb.SubmitJobResponse(platform_job_id="" if request.dry_run else request.submission_token)

    async def FindJob(self, request: pb.FindJobRequest, context: Context) -> pb.FindJobResponse:
        await self._greet(context, request.connection_id)
        return pb.FindJobResponse(platform_job_id="")

    async def GetJobStatus(self, request: pb.GetJobStatusRequest, context: Context) -> pb.GetJobStatusResponse:
        await self._greet(context, request.connection_id)
        if request.platform_job_id == "crash-once":
            crash_once()
        if request.platform_job_id == "unknown":
            await fail(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "no such job")
        if request.platform_job_id == "hang":
            await asyncio.sleep(3600)
        if request.platform_job_id == "block":
            block_for_ever()
        if request.platform_job_id == "spin":
            spin_for(1.5)
        if request.platform_job_id == "down":
            await fail(context, grpc.StatusCode.UNAVAILABLE, "PLATFORM_UNAVAILABLE", "the platform is down")
        if request.platform_job_id == "strange":
            return strange_status()
        return pb.GetJobStatusResponse(observation=self._observe(request.platform_job_id))

    async def BatchGetJobStatus(
        self, request: pb.BatchGetJobStatusRequest, context: Context
    ) -> pb.BatchGetJobStatusResponse:
        await self._greet(context, request.connection_id)
        known = {job: self._observe(job) for job in request.platform_job_ids if job != "unknown"}
        return pb.BatchGetJobStatusResponse(observations=known)

    def _observe(self, job: str) -> job_state_pb2.JobObservation:
        is_over = job in self.cancelled
        state = job_state_pb2.JOB_STATE_CANCELLED if is_over else job_state_pb2.JOB_STATE_RUNNING
        return job_state_pb2.JobObservation(state=state, raw_state="over" if is_over else "busy", attempt=1)

    async def CancelJob(self, request: pb.CancelJobRequest, context: Context) -> pb.CancelJobResponse:
        await self._greet(context, request.connection_id)
        self.cancelled.add(request.platform_job_id)
        return pb.CancelJobResponse()

    async def StreamLogs(self, request: pb.StreamLogsRequest, context: Context) -> AsyncIterator[pb.StreamLogsResponse]:
        await self._greet(context, request.connection_id)
        if request.platform_job_id == "crowd":
            await self.crowd.wait()
        for number in range(request.after_line + 1, 11):
            yield pb.StreamLogsResponse(lines=[log_pb2.LogLine(seq=number, text=f"line {number}")])
            if request.platform_job_id == "crash-log" and number == 5:
                # Gives the lines before time to leave, as the death is the test and not the loss.
                await asyncio.sleep(0.2)
                os._exit(1)
        yield pb.StreamLogsResponse(end=True)

    async def ListArtifacts(self, request: pb.ListArtifactsRequest, context: Context) -> pb.ListArtifactsResponse:
        await self._greet(context, request.connection_id)
        return pb.ListArtifactsResponse(artifacts=[Artifact(id="a", path="adapter/weights.bin", size=len(FILE))])

    async def FetchArtifact(
        self, request: pb.FetchArtifactRequest, context: Context
    ) -> AsyncIterator[pb.FetchArtifactResponse]:
        await self._greet(context, request.connection_id)
        for offset in range(request.offset, len(FILE), 65536):
            wrong = 1 if "holes" in FAULTS and offset else 0
            chunk = Chunk(offset=offset + wrong, data=FILE[offset : offset + 65536])
            yield pb.FetchArtifactResponse(chunk=chunk, size=len(FILE))

    async def UploadArtifact(
        self, requests: AsyncIterator[pb.UploadArtifactRequest], context: Context
    ) -> pb.UploadArtifactResponse:
        header, received = None, 0
        async for request in requests:
            if request.HasField("header"):
                header = request.header
                await self._greet(context, header.connection_id)
            received += len(request.chunk.data)
        assert header is not None
        return pb.UploadArtifactResponse(artifact_id=f"{header.name}:{received}")

    async def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.ShutdownResponse:
        await self._greet(context)
        if "stubborn" not in FAULTS:
            self.ended.set()
        return pb.ShutdownResponse()


async def fail(context: Context, code: grpc.StatusCode, reason: str, message: str, *, retry_seconds: int = 0) -> None:
    info, retry = any_pb2.Any(), any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(domain="peftstudio", reason=reason))
    details = [info]
    if retry_seconds:
        delay = error_details_pb2.RetryInfo()
        delay.retry_delay.seconds = retry_seconds
        retry.Pack(delay)
        details.append(retry)
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    await context.abort_with_status(rpc_status.to_status(status))


async def fail_fields(context: Context, fields: dict[str, str]) -> None:
    info, bad = any_pb2.Any(), any_pb2.Any()
    info.Pack(error_details_pb2.ErrorInfo(domain="peftstudio", reason="INVALID_CONFIG"))
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=field, description=text) for field, text in fields.items()
    ]
    bad.Pack(error_details_pb2.BadRequest(field_violations=violations))
    status = status_pb2.Status(code=3, message="bad fields", details=[info, bad])
    await context.abort_with_status(rpc_status.to_status(status))


def block_for_ever() -> None:
    time.sleep(3600)


def may_go() -> bool:
    return Path("go").exists()


def handle_signals(stacks_path: str) -> None:
    faulthandler.register(signal.SIGUSR1, file=Path(stacks_path).open("w"))  # noqa: SIM115 - for the whole life
    if "segv" in FAULTS:
        signal.signal(signal.SIGUSR2, lambda *_: ctypes.string_at(0))


def spin_for(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def strange_status() -> pb.GetJobStatusResponse:
    # Field 1 of the observation is its state; 99 is one that no contract has yet.
    return pb.GetJobStatusResponse.FromString(b"\x0a\x02\x08\x63")


def parent_death_signal() -> int:
    if sys.platform != "linux":
        return 0
    number = ctypes.c_int(0)
    ctypes.CDLL(None).prctl(2, ctypes.byref(number), 0, 0, 0)
    return number.value


def servicer(bootstrap: dict[str, object], ended: asyncio.Event) -> Plain:
    # The methods that it lacks answer UNIMPLEMENTED, which the stubs cannot know.
    return Plain(bootstrap, ended)  # type: ignore[abstract]


def say(line: dict[str, object]) -> None:
    with os.fdopen(3, "w") as handshake:
        handshake.write(json.dumps(line) + "\n")


def crash_once() -> None:
    mark = Path("crashed")
    if not mark.exists():
        mark.touch()
        os._exit(1)


def forget(socket: str) -> None:
    Path(socket).unlink(missing_ok=True)
    os.umask(0o177)


def leave_environment() -> None:
    Path("environment.json").write_text(json.dumps(dict(os.environ)))
    Path("parent-death-signal").write_text(str(parent_death_signal()))


def leave_orphan() -> None:
    program = "import os, time; os.setpgid(0, 0); open('orphan', 'w').write(str(os.getpid())); time.sleep(3600)"
    subprocess.Popen([sys.executable, "-c", program])
    while not Path("orphan").exists() or not Path("orphan").read_text():
        time.sleep(0.01)


def watch_lifeline(bootstrap: dict[str, object]) -> None:
    while os.read(0, 1):
        pass
    if bootstrap.get("host_loss") == "linger":
        time.sleep(float(str(bootstrap["linger_seconds"])))
    if "stubborn" not in FAULTS:
        os._exit(0)


def misbehave_before_handshake() -> None:
    if "banner" in FAULTS:
        print("Welcome to the platform!", flush=True)
    for number in range(fault_code("chatter") or 0):
        print("chatter", number)
    sys.stdout.flush()
    if "flood" in FAULTS:
        print("x" * 70_000, file=sys.stderr, flush=True)
    if (code := fault_code("exit")) is not None:
        print("Traceback: the library is not installed", file=sys.stderr, flush=True)
        os._exit(code)
    if (code := fault_code("refuse")) is not None:
        say({"version": 1, "error": "no engine here; install it"})
        time.sleep(0.5 if "slow-exit" in FAULTS else 0)
        os._exit(code)
    if "mute" in FAULTS:
        time.sleep(3600)


async def serve(bootstrap: dict[str, object]) -> None:
    ended = asyncio.Event()
    server = grpc.aio.server(interceptors=[Auth(str(bootstrap["gateway_token"]))])
    pb_grpc.add_ConnectorServiceServicer_to_server(servicer(bootstrap, ended), server)
    health_servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(health_servicer, server)
    socket = str(bootstrap["socket"])
    forget(socket)
    server.add_insecure_port(f"unix:{socket}")
    await server.start()
    handle_signals(str(bootstrap["stacks_path"]))
    if "orphan" in FAULTS:
        leave_orphan()
    version = 2 if "protocol-2" in FAULTS else 1
    digest = "0" * 64 if "old-contract" in FAULTS else ""
    known = {"pid": os.getpid(), "sdk": "none", "contract_digest": digest}
    say({"version": 1, "protocol": version, "address": f"unix:{socket}", **known})
    while "slow" in FAULTS and not may_go():
        await health_servicer.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(0.02)
    await health_servicer.set("", health_pb2.HealthCheckResponse.SERVING)
    leave_environment()
    if "stubborn" in FAULTS:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    threading.Thread(target=watch_lifeline, args=(bootstrap,), daemon=True).start()
    await ended.wait()
    await server.stop(1)


if __name__ == "__main__":
    first = json.loads(sys.stdin.buffer.readline())
    misbehave_before_handshake()
    asyncio.run(serve(first))
