"""A connector without the SDK that conforms: `python -m tests.support.conforming [FAULT]...`.

Each fault is one thing that it does wrong; tests/process/conformance has the check that catches it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"
os.environ["GRPC_VERBOSITY"] = "ERROR"

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from peftstudio.connector.v1 import connector_service_pb2 as pb
from peftstudio.connector.v1 import connector_service_pb2_grpc as pb_grpc
from tests.support.conforming.failing import Context
from tests.support.conforming.faults import FAULTS
from tests.support.conforming.platform import Platform
from tests.support.conforming.servicer import Servicer

HANDSHAKE = 3
SERVICE = "peftstudio.connector.v1.ConnectorService"
TERM_SECONDS = 5.0
Continuation = Callable[[grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]]


class Tokens(grpc.aio.ServerInterceptor):
    """Refuses calls without the gateway's token."""

    def __init__(self, expected: str) -> None:
        self.expected = f"Bearer {expected}"

    async def intercept_service(
        self, continuation: Continuation, details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        handler = await continuation(details)
        said = str(dict(details.invocation_metadata).get("authorization", ""))
        is_known = self.expected.startswith(said) and bool(said) if "part-of-token" in FAULTS else said == self.expected
        if handler is None or is_known or "open" in FAULTS or details.method.startswith("/grpc.health"):
            return handler

        async def refuse(_: object, context: Context) -> None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The token is not accepted.")

        make = {
            (False, False): grpc.unary_unary_rpc_method_handler,
            (False, True): grpc.unary_stream_rpc_method_handler,
            (True, False): grpc.stream_unary_rpc_method_handler,
        }[bool(handler.request_streaming), bool(handler.response_streaming)]
        return make(refuse, handler.request_deserializer, handler.response_serializer)


class Life(Servicer):
    """The servicer, with its end."""

    def __init__(self, bootstrap: dict[str, Any]) -> None:
        super().__init__(bootstrap["connector_token"], Platform(Path(bootstrap["work_dir"])))
        self.ending: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def end(self, grace: float) -> None:
        if not self.ending.done():
            self.ending.set_result(grace)

    async def Shutdown(self, request: pb.ShutdownRequest, context: Context) -> pb.ShutdownResponse:
        await self.greet(context)
        if "never-ends" not in FAULTS:
            self.end(request.grace.ToTimedelta().total_seconds())
        return pb.ShutdownResponse()


def start(bootstrap: dict[str, Any]) -> None:
    """Refuse what cannot be, or let something else get in between."""
    if 1 not in bootstrap["protocols"] and "any-protocol" not in FAULTS:
        tell({"version": 1, "error": f"The gateway speaks {bootstrap['protocols']}, this connector 1: update one."})
        sys.exit(0 if "exits-well" in FAULTS else 78)
    if "prints-into-handshake" in FAULTS:
        os.write(HANDSHAKE, b"Conforming 1.0, starting\n")


def bind(server: grpc.aio.Server, path: Path) -> None:
    if "keeps-stale" not in FAULTS:
        path.unlink(missing_ok=True)
    elif path.exists():
        tell({"version": 1, "error": f"{path} is in use"})
        sys.exit(75)
    os.umask(0o000 if "open-socket" in FAULTS else 0o177)
    server.add_insecure_port(f"unix:{path}")
    os.umask(0o077)


def tell(handshake: dict[str, object]) -> None:
    os.write(HANDSHAKE, json.dumps(handshake).encode() + b"\n")
    if "keeps-handshake" not in FAULTS:
        os.close(HANDSHAKE)


def watch_stdin(loop: asyncio.AbstractEventLoop, life: Life) -> None:
    while os.read(0, 4096):
        pass
    if "outlives-gateway" not in FAULTS:
        os._exit(0)


async def serve(bootstrap: dict[str, Any]) -> None:
    life, loop = Life(bootstrap), asyncio.get_running_loop()
    server = grpc.aio.server(interceptors=[Tokens(bootstrap["gateway_token"])])
    pb_grpc.add_ConnectorServiceServicer_to_server(life, server)
    servicer = health.aio.HealthServicer()
    if "no-health" not in FAULTS:
        health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    for name in ("", SERVICE):
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    path = Path(bootstrap["socket"])
    bind(server, path)
    await server.start()
    loop.add_signal_handler(signal.SIGTERM, life.end, TERM_SECONDS)
    if "ignores-sigterm" in FAULTS:
        loop.add_signal_handler(signal.SIGTERM, lambda: None)
    threading.Thread(target=watch_stdin, args=(loop, life), daemon=True).start()
    pid = os.getppid() if "other-pid" in FAULTS else os.getpid()
    tell({"version": 1, "protocol": 1, "address": f"unix:{path}", "pid": pid, "sdk": "none/1"} | identity())
    grace = await life.ending
    life.draining.set()
    await servicer.enter_graceful_shutdown()
    await server.stop(grace)
    await asyncio.gather(*life.stubborn)


def identity() -> dict[str, object]:
    fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    return {"start_time": int(fields[19])}


def main() -> None:
    line = sys.stdin.buffer.readline()
    if not line:
        sys.exit(75)
    try:
        bootstrap = json.loads(line)
    except ValueError:
        tell({"version": 1, "error": "The bootstrap is no JSON."})
        sys.exit(78)
    start(bootstrap)
    asyncio.run(serve(bootstrap))


if __name__ == "__main__":
    main()
