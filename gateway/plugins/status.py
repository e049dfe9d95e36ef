"""Reads what a connector's failed call says, and makes the gateway's error of it.

| the call ended with                           | the error                                        |
|-----------------------------------------------|--------------------------------------------------|
| details with a known reason, and the token    | `RemoteError` with that reason                   |
| UNIMPLEMENTED                                 | `Unsupported`                                    |
| DEADLINE_EXCEEDED                             | `PlatformTimeout`                                |
| UNAVAILABLE, CANCELLED                        | `ConnectorDown`                                  |
| another code, with the token                  | `RemoteError` with the reason of the code        |
| another code, without it                      | `Stranger`: only the connector may say that      |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from gateway.errors import ConnectorDown, GatewayError, PlatformTimeout, Reason, RemoteError, Unsupported, Violation
from gateway.plugins.failures import Stranger
from gateway.redaction import Redact
from gateway.wire.time import duration_from_proto

DOMAIN = "peftstudio"
UNSENT = "unsent"
"""Key of an error's metadata: `true` = the connector did not reach the platform at all, e.g. it was refused there."""

MAX_MESSAGE_CHARS = 1024
"""What a connector's message may have; more of it would not fit into a status again."""

REASONS: Mapping[grpc.StatusCode, Reason] = MappingProxyType(
    {
        grpc.StatusCode.INVALID_ARGUMENT: Reason.INVALID_CONFIG,
        grpc.StatusCode.UNAUTHENTICATED: Reason.CREDENTIALS_REJECTED,
        grpc.StatusCode.PERMISSION_DENIED: Reason.FORBIDDEN,
        grpc.StatusCode.NOT_FOUND: Reason.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS: Reason.REQUEST_ID_REUSED,
        grpc.StatusCode.FAILED_PRECONDITION: Reason.WRONG_STATE,
        grpc.StatusCode.ABORTED: Reason.WRONG_STATE,
        grpc.StatusCode.OUT_OF_RANGE: Reason.BAD_OFFSET,
        grpc.StatusCode.RESOURCE_EXHAUSTED: Reason.RATE_LIMITED,
        grpc.StatusCode.DATA_LOSS: Reason.CHECKSUM_MISMATCH,
        grpc.StatusCode.INTERNAL: Reason.CONNECTOR_BUG,
        grpc.StatusCode.UNKNOWN: Reason.CONNECTOR_BUG,
    }
)
"""What a code means where the connector gives no details."""


def to_gateway_error(
    error: grpc.aio.AioRpcError, connector_id: str, method: str, *, is_proven: bool, redact: Redact = str
) -> GatewayError:
    """Make the gateway's error of a failed call to a connector; its words pass `redact`."""
    # Before it is cut, so that no half of a secret is left.
    message = redact(error.details() or error.code().name)[:MAX_MESSAGE_CHARS]
    detailed = _detailed(error, message, redact) if is_proven else None
    if detailed is not None:
        return detailed
    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return Unsupported(connector_id, method)
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return PlatformTimeout(f"connector {connector_id!r} did not answer {method} in time")
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED:
            return ConnectorDown(f"the process of connector {connector_id!r} does not answer: {message}")
        case code if is_proven:
            return RemoteError(message, reason=REASONS.get(code, Reason.CONNECTOR_BUG))
        case _:
            return Stranger(connector_id)


def _detailed(error: grpc.aio.AioRpcError, message: str, redact: Redact) -> RemoteError | None:
    status = _status(error)
    info = error_details_pb2.ErrorInfo()
    if status is None or not _unpack(status, info) or info.domain != DOMAIN:
        return None
    try:
        reason = Reason(info.reason)
    except ValueError:
        return None
    found = RemoteError(
        message,
        reason=reason,
        retry_after=_retry_after(status),
        violations=[Violation(found.field, redact(found.description)) for found in _violations(status)],
        metadata={key: redact(value) for key, value in {**_missing(status), **info.metadata}.items()},
    )
    found.is_unsent = reason is Reason.PLATFORM_UNAVAILABLE and info.metadata.get(UNSENT) == "true"
    return found


def _status(error: grpc.aio.AioRpcError) -> status_pb2.Status | None:
    try:
        # An AioRpcError has all that is asked of a call here, and the stubs want a grpc.Call.
        return rpc_status.from_call(error)  # type: ignore[arg-type]
    except (ValueError, DecodeError):
        return None


def _unpack(status: status_pb2.Status, into: error_details_pb2.ErrorInfo) -> bool:
    try:
        return any(detail.Unpack(into) for detail in status.details)
    except DecodeError:
        return False


def _retry_after(status: status_pb2.Status) -> timedelta | None:
    info = error_details_pb2.RetryInfo()
    return duration_from_proto(info.retry_delay) if any(detail.Unpack(info) for detail in status.details) else None


def _missing(status: status_pb2.Status) -> dict[str, str]:
    info = error_details_pb2.ResourceInfo()
    if not any(detail.Unpack(info) for detail in status.details):
        return {}
    return {"resource_type": info.resource_type, "resource_name": info.resource_name}


def _violations(status: status_pb2.Status) -> Sequence[error_details_pb2.BadRequest.FieldViolation]:
    bad = error_details_pb2.BadRequest()
    return bad.field_violations if any(detail.Unpack(bad) for detail in status.details) else ()
