"""The one table from reasons to gRPC codes, and the status that a failed call ends with.

| what                | limit | why |
|---------------------|-------|-----|
| message             | 1 KiB | it travels in a header as well |
| value of a detail   | 256 B | a name that a client made up may have any length |
| keys of a detail    | 8     | of 64 B: a connector may send any number |
| details             | 4 KiB | over 8 KiB of trailing metadata, peers begin to drop calls |
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2 as details
from google.rpc import status_pb2
from grpc import StatusCode

from gateway.errors import GatewayError, Reason

DOMAIN = "peftstudio"
MAX_MESSAGE_BYTES = 1024
MAX_STATUS_BYTES = 4096
MAX_VALUE_BYTES = 256
MAX_KEY_BYTES = 64
MAX_METADATA = 8

CODES: dict[Reason, StatusCode] = {
    Reason.INVALID_CONFIG: StatusCode.INVALID_ARGUMENT,
    Reason.CREDENTIALS_REJECTED: StatusCode.UNAUTHENTICATED,
    Reason.FORBIDDEN: StatusCode.PERMISSION_DENIED,
    Reason.INSUFFICIENT_CREDITS: StatusCode.FAILED_PRECONDITION,
    Reason.RATE_LIMITED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.QUOTA: StatusCode.RESOURCE_EXHAUSTED,
    Reason.NO_CAPACITY: StatusCode.RESOURCE_EXHAUSTED,
    Reason.OVERLOADED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.NOT_READY: StatusCode.FAILED_PRECONDITION,
    Reason.WRONG_STATE: StatusCode.FAILED_PRECONDITION,
    Reason.ARTIFACT_CHANGED: StatusCode.FAILED_PRECONDITION,
    Reason.REQUEST_ID_REUSED: StatusCode.ALREADY_EXISTS,
    Reason.CURSOR_EXPIRED: StatusCode.OUT_OF_RANGE,
    Reason.BAD_OFFSET: StatusCode.OUT_OF_RANGE,
    Reason.UNSUPPORTED: StatusCode.UNIMPLEMENTED,
    Reason.PLATFORM_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.CONNECTOR_DOWN: StatusCode.UNAVAILABLE,
    Reason.PLATFORM_TIMEOUT: StatusCode.DEADLINE_EXCEEDED,
    Reason.CHECKSUM_MISMATCH: StatusCode.DATA_LOSS,
    Reason.BAD_UPSTREAM: StatusCode.INTERNAL,
    Reason.CONNECTOR_BUG: StatusCode.INTERNAL,
    Reason.GATEWAY_BUG: StatusCode.INTERNAL,
    Reason.STORAGE_FULL: StatusCode.RESOURCE_EXHAUSTED,
    Reason.NOT_CONNECTED: StatusCode.FAILED_PRECONDITION,
}


RETRY_AFTER: dict[Reason, timedelta] = {
    # About as long as a window of a platform's limiter.
    Reason.RATE_LIMITED: timedelta(seconds=5),
    Reason.PLATFORM_UNAVAILABLE: timedelta(seconds=5),
    # A connector that died is back within a second or so.
    Reason.CONNECTOR_DOWN: timedelta(seconds=1),
}
"""When to come back where whoever failed does not say."""


def to_status(error: GatewayError) -> status_pb2.Status:
    """Build the status of a failed call, with all its details, within the limits."""
    status = status_pb2.Status(code=CODES[error.reason].value[0], message=_cut(error.message))
    named = {
        _cut(key, MAX_KEY_BYTES): _cut(value, MAX_VALUE_BYTES)
        for key, value in islice(error.metadata.items(), MAX_METADATA)
    }
    status.details.add().Pack(details.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=named))
    retry_after = error.retry_after or RETRY_AFTER.get(error.reason)
    if retry_after is not None:
        delay = Duration()
        delay.FromTimedelta(retry_after)
        status.details.add().Pack(details.RetryInfo(retry_delay=delay))
    if "resource_name" in named:
        status.details.add().Pack(
            details.ResourceInfo(resource_type=named.get("resource_type", ""), resource_name=named["resource_name"])
        )
    if error.reason is Reason.QUOTA:
        used_up = details.QuotaFailure.Violation(
            subject=named.get("subject", "account"), description=_cut(error.message, MAX_VALUE_BYTES)
        )
        status.details.add().Pack(details.QuotaFailure(violations=[used_up]))
    if error.violations:
        _add_violations(status, error)
    return status


def _add_violations(status: status_pb2.Status, error: GatewayError) -> None:
    """Name as many fields as fit; the message says how many there are."""
    found = [
        details.BadRequest.FieldViolation(field=violation.field, description=_cut(violation.description))
        for violation in error.violations
    ]
    while found and status.ByteSize() + sum(violation.ByteSize() + 4 for violation in found) > MAX_STATUS_BYTES:
        found.pop()
    status.details.add().Pack(details.BadRequest(field_violations=found))
    if len(found) < len(error.violations):
        status.message = _cut(f"{len(error.violations)} fields cannot be used; the first are named. {status.message}")


def _cut(text: str, most: int = MAX_MESSAGE_BYTES) -> str:
    data = text.encode()
    if len(data) <= most:
        return text
    return data[: most - 3].decode(errors="ignore") + "…"
