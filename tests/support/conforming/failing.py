"""Ends calls as docs/errors.md says, or with one of the faults."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from tests.support.conforming.faults import FAULTS

Context = grpc.aio.ServicerContext[Any, Any]
TRACEBACK = 'Traceback (most recent call last):\n  File "/srv/acme.py", line 3, in look\nKeyError: 1'


async def fail(context: Context, code: grpc.StatusCode, reason: str, message: str, *fields: str) -> NoReturn:
    """End the call."""
    if "wrong-code" in FAULTS and reason == "NOT_FOUND":
        code = grpc.StatusCode.UNKNOWN
    if "traceback" in FAULTS:
        message = f"{message}\n{TRACEBACK}"
    domain = "acme.example" if "foreign-domain" in FAULTS else "peftstudio"
    metadata = {"answer": "x" * 5000} if "long-errors" in FAULTS else {}
    details: list[Message] = [error_details_pb2.ErrorInfo(domain=domain, reason=reason, metadata=metadata)]
    if fields:
        found = [error_details_pb2.BadRequest.FieldViolation(field=field, description="is wrong") for field in fields]
        details.append(error_details_pb2.BadRequest(field_violations=found))
    status = status_pb2.Status(code=code.value[0], message=message, details=[_packed(one) for one in details])
    await context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort returned")


def _packed(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed
