"""A failed call, as its caller sees it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2

STATUS_KEY = "grpc-status-details-bin"
LONGEST_QUOTE = 200

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """What came instead of an answer."""

    method: str
    code: grpc.StatusCode
    message: str
    status: status_pb2.Status
    """Empty where there was none."""
    raw: bytes
    """All bytes that an error could hide something in."""

    @property
    def infos(self) -> list[error_details_pb2.ErrorInfo]:
        """Every ErrorInfo in it; there should be one."""
        return self.details(error_details_pb2.ErrorInfo)

    @property
    def reason(self) -> str:
        """Its reason; empty where it tells none."""
        return str(self.infos[0].reason) if self.infos else ""

    def details(self, kind: type[M]) -> list[M]:
        """Give the details of a kind."""
        found = [kind() for detail in self.status.details if detail.Is(kind.DESCRIPTOR)]
        packed = [detail for detail in self.status.details if detail.Is(kind.DESCRIPTOR)]
        for message, detail in zip(found, packed, strict=True):
            detail.Unpack(message)
        return found

    def __str__(self) -> str:
        return f"{self.method} answered {self.code.name} {self.reason or '(no reason)'}: {self.message[:LONGEST_QUOTE]}"


def refusal_of(method: str, error: grpc.aio.AioRpcError) -> Refusal:
    """Read an error of gRPC's."""
    trailing: Iterable[tuple[str, str | bytes]] = tuple(error.trailing_metadata() or ())
    values = [(key, value if isinstance(value, bytes) else value.encode()) for key, value in trailing]
    status = status_pb2.Status()
    for key, value in values:
        if key == STATUS_KEY:
            status = _read(value)
    message = error.details() or ""
    return Refusal(
        method=method,
        code=error.code(),
        message=message,
        status=status,
        raw=b"\n".join([message.encode(), *(value for _, value in values)]),
    )


def _read(data: bytes) -> status_pb2.Status:
    try:
        return status_pb2.Status.FromString(data)
    except DecodeError:
        return status_pb2.Status()
