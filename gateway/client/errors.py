"""What can go wrong on the client's side of the wire.

Every failure is a `ClientError`; a call that the gateway (or the network before it) refused is a `GatewayCallError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import grpc
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo  # type: ignore[import-untyped,unused-ignore]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped,unused-ignore]
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class Violation:
    """One field of a request that cannot be used."""

    field: str
    """Path of the field within the request, e.g. `config.rank`."""
    description: str
    """What is wrong with it."""

    def __str__(self) -> str:
        return f"{self.field}: {self.description}"


class ClientError(Exception):
    """Root of all errors of this client; the text is meant for people."""


class NoGatewayError(ClientError):
    """Raised when nothing says where a gateway is, or what is said cannot be read."""


class InvalidConfigError(ClientError):
    """Raised before any call when a training configuration has unknown keys or wrong types; carries all of them."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__("; ".join(map(str, violations)))
        self.violations = tuple(violations)


class TransferError(ClientError):
    """Raised when a file cannot be moved: a path that leaves its folder, bytes that are wrong twice."""


class GatewayCallError(ClientError):
    """Raised when a call failed.

    Attributes:
        reason: Name from `ErrorReason` without its prefix; empty where the gateway itself did not answer.
        code: The gRPC status code.
        message: What happened, and mostly what to do next.
        violations: Fields that cannot be used; only with INVALID_CONFIG.
        retry_after: How long the gateway asks to wait before the call is made again.
        metadata: What the gateway tells besides, e.g. `resource_name`.
    """

    def __init__(
        self,
        reason: str,
        code: grpc.StatusCode,
        message: str,
        violations: Sequence[Violation] = (),
        retry_after: timedelta | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.code = code
        self.message = message
        self.violations = tuple(violations)
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})

    @property
    def is_from_gateway(self) -> bool:
        """Whether the gateway answered; otherwise the connection failed on the way."""
        return bool(self.reason)


def call_error(error: grpc.RpcError, address: str) -> GatewayCallError:
    """Translate an error of either gRPC stack, with the details that the gateway attached."""
    # Both stacks raise objects that are an RpcError and a Call at once, which no type says.
    call = cast("grpc.Call", error)
    code = call.code() or grpc.StatusCode.UNKNOWN
    status = _status(call)
    if status is None:
        return GatewayCallError("", code, _transport_message(code, call.details() or "", address))
    info, bad, retry = _details(status)
    return GatewayCallError(
        info.reason,
        code,
        status.message or call.details() or code.name,
        [Violation(violation.field, violation.description) for violation in bad.field_violations],
        retry.retry_delay.ToTimedelta() if retry.HasField("retry_delay") else None,
        info.metadata,
    )


def _status(call: grpc.Call) -> Status | None:
    try:
        return cast("Status | None", rpc_status.from_call(call))
    except ValueError:
        # Details that contradict the code come from something between us and the gateway.
        return None


def _details(status: Status) -> tuple[ErrorInfo, BadRequest, RetryInfo]:
    info, bad, retry = ErrorInfo(), BadRequest(), RetryInfo()
    for packed in status.details:
        for message in (info, bad, retry):
            # Does nothing where the detail is of another type.
            packed.Unpack(message)

    return info, bad, retry


def _transport_message(code: grpc.StatusCode, details: str, address: str) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        # The C core chains its causes with colons; only the last one tells people something.
        cause = details.rsplit(": ", 1)[-1] or "no answer"
        return f"the gateway at {address} does not answer ({cause}); is `peftstudio serve` running there?"

    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"the gateway at {address} did not answer in time"

    return details or code.name
