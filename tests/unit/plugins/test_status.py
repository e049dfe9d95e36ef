from __future__ import annotations

import grpc
import grpc.aio
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from gateway.errors import ConnectorDown, PlatformTimeout, Reason, RemoteError, Unsupported
from gateway.plugins.failures import Stranger
from gateway.plugins.status import to_gateway_error

pytestmark = pytest.mark.unit


def failed(
    code: grpc.StatusCode, reason: str = "", domain: str = "peftstudio", **metadata: str
) -> grpc.aio.AioRpcError:
    trailing = grpc.aio.Metadata()
    if reason:
        detail = AnyMessage()
        detail.Pack(ErrorInfo(domain=domain, reason=reason, metadata=metadata))
        status = Status(code=code.value[0], message="why", details=[detail])
        trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, details="why")


def test_details_with_the_token_give_the_connectors_reason() -> None:
    error = to_gateway_error(failed(grpc.StatusCode.UNAVAILABLE, "PLATFORM_UNAVAILABLE"), "c", "M", is_proven=True)
    assert isinstance(error, RemoteError)
    assert (error.reason, error.message) == (Reason.PLATFORM_UNAVAILABLE, "why")


@pytest.mark.parametrize(
    ("reason", "told", "is_unsent"),
    [
        ("PLATFORM_UNAVAILABLE", {"unsent": "true"}, True),
        ("PLATFORM_UNAVAILABLE", {}, False),
        # A deadline that passed says nothing of what was sent before, whatever a connector claims.
        ("PLATFORM_TIMEOUT", {"unsent": "true"}, False),
    ],
)
def test_a_connector_can_say_that_it_did_not_reach_its_platform(
    reason: str, told: dict[str, str], *, is_unsent: bool
) -> None:
    error = failed(grpc.StatusCode.UNAVAILABLE, reason, **told)
    assert to_gateway_error(error, "c", "M", is_proven=True).is_unsent is is_unsent


def test_details_without_the_token_are_a_strangers() -> None:
    error = to_gateway_error(failed(grpc.StatusCode.NOT_FOUND, "NOT_FOUND"), "c", "M", is_proven=False)
    assert isinstance(error, Stranger)


@pytest.mark.parametrize(("reason", "domain"), [("NEWER", "peftstudio"), ("QUOTA", "elsewhere"), ("", "")])
def test_details_that_are_not_known_leave_the_code(reason: str, domain: str) -> None:
    error = to_gateway_error(failed(grpc.StatusCode.NOT_FOUND, reason, domain), "c", "M", is_proven=True)
    assert error.reason is Reason.NOT_FOUND


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, ConnectorDown),
        (grpc.StatusCode.CANCELLED, ConnectorDown),
        (grpc.StatusCode.DEADLINE_EXCEEDED, PlatformTimeout),
        (grpc.StatusCode.UNIMPLEMENTED, Unsupported),
    ],
)
def test_what_grpc_says_by_itself_needs_no_token(code: grpc.StatusCode, expected: type[Exception]) -> None:
    assert type(to_gateway_error(failed(code), "c", "M", is_proven=False)) is expected


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_code_is_some_error(code: grpc.StatusCode) -> None:
    assert to_gateway_error(failed(code), "c", "M", is_proven=True).reason in Reason
