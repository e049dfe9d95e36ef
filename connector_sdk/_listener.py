"""Where a connector listens: on a private socket of the gateway that started it, or at an address."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import grpc
import grpc.aio

from connector_sdk._private_socket import private_socket
from connector_sdk._start import ExitCode, StartError


class Listener(Protocol):
    """A place to listen at."""

    def open(self, server: grpc.aio.Server) -> AbstractContextManager[None]:
        """Have the server listen there once it is started within the block; raises `StartError` where it cannot."""
        ...


@dataclass(frozen=True, slots=True)
class SocketListener:
    """A unix socket that nobody else can connect to."""

    socket: Path

    @contextmanager
    def open(self, server: grpc.aio.Server) -> Iterator[None]:
        """Have the server listen there."""
        with private_socket(self.socket):
            server.add_insecure_port(f"unix:{self.socket}")
            yield


@dataclass(frozen=True, slots=True)
class AddressListener:
    """A network address; without credentials, one that only this machine can reach."""

    address: str
    credentials: grpc.ServerCredentials | None

    @contextmanager
    def open(self, server: grpc.aio.Server) -> Iterator[None]:
        """Have the server listen there."""
        try:
            if self.credentials is None:
                server.add_insecure_port(self.address)
            else:
                server.add_secure_port(self.address, self.credentials)
        except RuntimeError as error:
            message = f"{self.address} cannot be listened on: choose an address of this machine and a free port."
            raise StartError(message, ExitCode.TRY_AGAIN) from error
        yield
