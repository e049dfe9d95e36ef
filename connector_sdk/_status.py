"""Write an error as the `google.rpc.Status` that travels: one ErrorInfo, and what else fits, within 4 KiB."""

from __future__ import annotations

import grpc
from google.protobuf import any_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from connector_sdk._readable import readable
from connector_sdk._redact import Secrets
from connector_sdk._text import cut
from connector_sdk.errors import DOMAIN, ConnectorError, InvalidConfigError, NotFoundError
from connector_sdk.models import FieldViolation

LONGEST_MESSAGE_BYTES = 1024
LONGEST_DETAILS_BYTES = 4096  # gRPC kills calls whose trailing metadata passes 8 to 16 KiB
LONGEST_VIOLATION_BYTES = 512
LONGEST_METADATA_BYTES = 256


def to_status(error: ConnectorError, secrets: Secrets) -> status_pb2.Status:
    """Write `error`, redacted."""
    code: tuple[int, str] = grpc.StatusCode[error.code_name].value
    status = status_pb2.Status(code=code[0], message=_words(error.message, secrets, LONGEST_MESSAGE_BYTES))
    status.details.append(_packed(_error_info(error, secrets)))
    if error.retry_after is not None:
        status.details.append(_packed(error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_after))))
    if isinstance(error, NotFoundError) and error.name:
        status.details.append(
            _packed(error_details_pb2.ResourceInfo(resource_type=error.kind, resource_name=cut(error.name, 256)))
        )
    if isinstance(error, InvalidConfigError) and error.violations:
        room = LONGEST_DETAILS_BYTES - status.ByteSize() - 64
        status.details.append(_packed(_bad_request(error.violations, secrets, room)))
    return status


def _error_info(error: ConnectorError, secrets: Secrets) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    for key, value in list(error.metadata.items())[:4]:
        info.metadata[cut(key, 64)] = cut(secrets.redact(value), LONGEST_METADATA_BYTES)
    return info


def _bad_request(
    violations: tuple[FieldViolation, ...], secrets: Secrets, room_bytes: int
) -> error_details_pb2.BadRequest:
    request = error_details_pb2.BadRequest()
    for index, violation in enumerate(violations):
        text = _words(violation.description, secrets, LONGEST_VIOLATION_BYTES)
        entry = error_details_pb2.BadRequest.FieldViolation(field=cut(violation.field, 128), description=text)
        if request.ByteSize() + entry.ByteSize() + 64 > room_bytes:
            request.field_violations.add(description=f"… and {len(violations) - index} more")
            break
        request.field_violations.append(entry)
    return request


def _words(text: str, secrets: Secrets, most_bytes: int) -> str:
    return cut(readable(secrets.redact(text)), most_bytes)


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(int(max(seconds, 0.0) * 1000))
    return duration


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
