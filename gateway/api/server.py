"""The gRPC server that clients talk to."""

from __future__ import annotations

from typing import cast

from grpc import aio, ssl_server_credentials
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from gateway.api.boundary import Boundary
from gateway.api.servicers import Servicers
from gateway.config import Settings
from gateway.errors import InvalidRequest, WrongState

MAX_WAITING_CALLS = 100_000
"""More than a machine has descriptors and memory for."""

OPTIONS = (
    # Without it two gateways share one port in silence, and each gets half of the calls.
    ("grpc.so_reuseport", 0),
    # Half of the 10 s at which clients are told to ping; with the default of 300 s they are cut off.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_ping_strikes", 2),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.max_metadata_size", 16 * 1024),
    # Calls that wait for their turn: of more than 1,000, the default, some hang for ever without an error.
    ("grpc.server.max_pending_requests", MAX_WAITING_CALLS),
    ("grpc.server.max_pending_requests_hard_limit", MAX_WAITING_CALLS),
)

STOP_SECONDS = 2.0
"""How long calls under way may go on when the gateway stops; streams are cut, and clients resume them."""


class Server:
    """Serve the gateway's services, health and reflection."""

    def __init__(self, servicers: Servicers, token: str) -> None:
        boundary = Boundary(token)
        # All that services do to the server to which they are added.
        entrance = cast("aio.Server", boundary)
        self._health = health.aio.HealthServicer()
        self._names = [*servicers.register(entrance), health.SERVICE_NAME]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, entrance)
        reflected = reflection.aio.ReflectionServicer([*self._names, reflection.SERVICE_NAME])
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(reflected, entrance)  # type: ignore[no-untyped-call]
        self._server = aio.server(handlers=[boundary], options=OPTIONS)

    async def start(self, settings: Settings) -> str:
        """Listen, and return the address that clients reach.

        Raises:
            WrongState: The port is taken.
            InvalidRequest: The address is open to others and there is no certificate.
        """
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        target = f"{host}:{settings.port}"
        try:
            port = self._bind(settings, target)
        except RuntimeError as error:
            raise WrongState(
                f"port {settings.port} of {settings.host} cannot be used: another program has it, or the address is "
                "not this machine's; choose another with --port (0 = any free one)"
            ) from error
        await self._server.start()
        for name in ("", *self._names):
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Refuse new calls, let those under way finish for a moment, and stop."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(STOP_SECONDS)

    def _bind(self, settings: Settings, target: str) -> int:
        if settings.tls_certificate and settings.tls_key:
            pair = settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes()
            return self._server.add_secure_port(target, ssl_server_credentials([pair]))
        if not settings.is_loopback:
            raise InvalidRequest.of("host", f"{settings.host} is open to others: give --tls-certificate and --tls-key")
        return self._server.add_insecure_port(target)
