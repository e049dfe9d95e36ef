"""A connector that somebody else runs, at an address: where it is, and how both sides prove who they are.

TLS shows the gateway that the connector is the one at that address, and hides everything from others. A file that both
sides have proves each to the other: two tokens are derived from it, one for each direction, so that whoever is sent the
one does not know the other. docs/protocol.md has the derivation.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import stat
from dataclasses import dataclass
from pathlib import Path

import grpc

from gateway.plugins.handshake import Tokens

MIN_SECRET_BYTES = 32
"""What `openssl rand -hex 32` writes, and nothing that a person would think of."""


class Unusable(ValueError):
    """Raised when the settings of a remote connector cannot be used; says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere:
    """Where a remote connector is, as the gateway's owner says."""

    address: str
    """`host:port`."""
    token_file: Path
    ca: Path | None = None
    """Who signed its certificate, as PEM; None = the system's authorities."""
    certificate: Path | None = None
    """The gateway's own certificate, as PEM, where the other side wants one."""
    key: Path | None = None
    server_name: str = ""
    """The name in its certificate where that is not the address's."""

    def tokens(self) -> Tokens:
        """Derive how the two sides know each other.

        Raises:
            Unusable: The file is not there, is no secret, or others can read it.

        """
        try:
            mode = self.token_file.stat().st_mode
            secret = self.token_file.read_bytes().strip()
        except OSError as error:
            raise Unusable(f"token_file {self.token_file} cannot be read: {error.strerror}") from error
        if stat.S_IMODE(mode) & 0o077:
            raise Unusable(f"token_file {self.token_file} can be read by others; chmod 600 it")
        if len(secret) < MIN_SECRET_BYTES:
            raise Unusable(f"token_file {self.token_file} has less than {MIN_SECRET_BYTES} bytes; openssl rand -hex 32")
        return Tokens(derived(secret, "gateway"), derived(secret, "connector"))

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Return how the connection is secured; None = it stays on this machine.

        Raises:
            Unusable: A file cannot be read, or a connection to another machine would not be secured.

        """
        if self.is_loopback and not (self.ca or self.certificate):
            return None
        if (self.certificate is None) != (self.key is None):
            raise Unusable("tls: certificate and key go together; give both or neither")
        return grpc.ssl_channel_credentials(_pem(self.ca), _pem(self.key), _pem(self.certificate))

    @property
    def is_loopback(self) -> bool:
        """Whether the address is one of this machine alone."""
        host = self.address.rpartition(":")[0].strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False

    def check(self) -> str:
        """Say what is wrong with it; empty = nothing."""
        host, _, port = self.address.rpartition(":")
        if not host or not port.isdecimal() or not 0 < int(port) < 65536:
            return f"address {self.address!r} is not host:port"
        try:
            self.tokens()
            self.credentials()
        except Unusable as error:
            return str(error)
        return ""


def derived(secret: bytes, direction: str) -> str:
    """Return the token of one direction."""
    return hmac.new(secret, f"peftstudio {direction}".encode(), hashlib.sha256).hexdigest()


def _pem(path: Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return path.read_bytes()
    except OSError as error:
        raise Unusable(f"tls: {path} cannot be read: {error.strerror}") from error
