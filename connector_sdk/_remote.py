"""Serve a connector at an address, to gateways that know its secret: docs/protocol.md, remote connectors."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import os
import signal
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import grpc

from connector_sdk._connections import Factory
from connector_sdk._listener import AddressListener
from connector_sdk._redact import Secrets
from connector_sdk._server import ConnectorServer, Setting
from connector_sdk._start import StartError
from connector_sdk._watch import TERM_GRACE_SECONDS, Watch

logger = logging.getLogger(__name__)

LEAST_SECRET_BYTES = 32  # what `openssl rand -hex 32` writes has twice as many


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where and for whom to serve."""

    address: str
    """`host:port`."""
    token_file: Path
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None
    """Who must have signed the gateway's certificate; None = it needs none."""

    def tokens(self) -> tuple[str, str]:
        """Give the tokens of the gateway and of the connector; raises `StartError` where the file is no secret."""
        secret = _read(self.token_file).strip()
        if stat.S_IMODE(self.token_file.stat().st_mode) & 0o077:
            raise StartError(f"The token file {self.token_file} can be read by others: chmod 600 it.")
        if len(secret) < LEAST_SECRET_BYTES:
            raise StartError(f"The token file {self.token_file} is too short: openssl rand -hex 32 > {self.token_file}")
        return _derived(secret, "gateway"), _derived(secret, "connector")

    def listener(self) -> AddressListener:
        """Give the listener; raises `StartError` for what would let others listen in."""
        if self.certificate is None or self.key is None:
            if self.certificate or self.key or self.client_ca:
                raise StartError("A certificate and its key go together: give --tls-certificate and --tls-key.")
            if not is_loopback(self.address):
                raise StartError(
                    f"{self.address} can be reached by other machines: give --tls-certificate and --tls-key."
                )
            return AddressListener(self.address, None)
        pair = _read(self.key), _read(self.certificate)
        ca = _read(self.client_ca) if self.client_ca else None
        credentials = grpc.ssl_server_credentials([pair], ca, require_client_auth=ca is not None)
        return AddressListener(self.address, credentials)


async def run(factory: Factory, place: Place, secrets: Secrets) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[float] = loop.create_future()

    def resolve(grace_seconds: float) -> None:
        if not ending.done():
            ending.set_result(grace_seconds)

    def tell(grace_seconds: float) -> None:
        with suppress(RuntimeError):  # a loop that is closed has ended already
            loop.call_soon_threadsafe(resolve, grace_seconds)

    # Nobody holds the other end: no gateway that goes takes this process with it.
    lifeline, _keep = os.pipe()
    watch = Watch(lifeline, tell)
    watch.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.end_within(TERM_GRACE_SECONDS))
    gateway_token, connector_token = place.tokens()
    setting = Setting(
        listener=place.listener(),
        gateway_token=gateway_token,
        connector_token=connector_token,
        work_dir=Path.cwd(),
    )
    # Whoever asks for its end through Shutdown is one gateway of several.
    server = ConnectorServer(factory, setting, secrets, lambda grace_seconds: None)
    await server.start()
    logger.info("serving address=%s", place.address)
    await server.stop(await ending)
    watch.end_within(0.0)


def _derived(secret: bytes, direction: str) -> str:
    return hmac.new(secret, f"peftstudio {direction}".encode(), hashlib.sha256).hexdigest()


def is_loopback(address: str) -> bool:
    """Tell whether only this machine can reach an address."""
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StartError(f"{path} cannot be read: {error.strerror}.") from error
