"""Serve health beside the event loop, so that a connector whose loop is blocked still answers.

gRPC's threads and not a second asyncio loop: loops share one queue of events within a process, and each would be
woken for what concerns the other.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from connector_sdk._contract import SERVICE
from connector_sdk._options import SERVER_OPTIONS
from connector_sdk._private_socket import private_socket

THREADS = 1  # a Check takes a fraction of a millisecond, a Watch no thread
STOP_SECONDS = 0.2

Status = health_pb2.HealthCheckResponse


class HealthSocket:
    """A server with threads of its own. Every method may be called from any thread."""

    def __init__(self, socket: Path) -> None:
        """Serve on the unix socket `socket`, once started."""
        self._socket = socket
        self._health = health.HealthServicer()
        self._health.set(SERVICE, Status.SERVING)
        threads = ThreadPoolExecutor(THREADS, thread_name_prefix="health")
        threads.submit(int)  # starts the thread now; later there may be too little memory for one
        self._server = grpc.server(threads, options=SERVER_OPTIONS)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    def start(self) -> None:
        """Listen; raises `StartError` where the socket cannot be had."""
        with private_socket(self._socket):
            self._server.add_insecure_port(f"unix:{self._socket}")
            self._server.start()

    def tell(self, is_answering: bool) -> None:
        """Say whether the loop that does the work answers."""
        self._health.set(SERVICE, Status.SERVING if is_answering else Status.NOT_SERVING)

    def drain(self) -> None:
        """Answer NOT_SERVING from now on."""
        self._health.enter_graceful_shutdown()

    def stop(self) -> None:
        """End what is under way, and listen no more."""
        self._server.stop(0).wait(STOP_SECONDS)
