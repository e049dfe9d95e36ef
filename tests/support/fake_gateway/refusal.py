"""Errors as the gateway sends them."""

from __future__ import annotations

from typing import NoReturn, Protocol, cast

import grpc
from google.protobuf.any_pb2 import Any as PackedAny
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, RetryInfo  # type: ignore[import-untyped,unused-ignore]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped,unused-ignore]
from grpc import aio
from grpc_status import rpc_status

Context = aio.ServicerContext[object, object]


class _WithStatus(Protocol):
    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        """End the call. The class has it, its types do not."""
        ...


async def refuse(
    context: object,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    violations: dict[str, str] | None = None,
    retry_after_seconds: int = 0,
) -> NoReturn:
    """End a call with an error and its details."""
    status = Status(code=code.value[0], message=message)
    _attach(status, ErrorInfo(reason=reason, domain="peftstudio"))
    if violations:
        fields = [BadRequest.FieldViolation(field=name, description=text) for name, text in violations.items()]
        _attach(status, BadRequest(field_violations=fields))

    if retry_after_seconds:
        _attach(status, RetryInfo(retry_delay=Duration(seconds=retry_after_seconds)))

    await cast("_WithStatus", context).abort_with_status(rpc_status.to_status(status))


async def not_found(context: object, kind: str, name: str) -> NoReturn:
    """End a call that named something that does not exist."""
    await refuse(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", f"there is no {kind} {name!r}")


def _attach(status: Status, detail: ErrorInfo | BadRequest | RetryInfo) -> None:
    packed = PackedAny()
    packed.Pack(detail)
    status.details.append(packed)
