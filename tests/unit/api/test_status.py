"""What a failed call ends with."""

from __future__ import annotations

from datetime import timedelta

import pytest
from google.rpc import error_details_pb2 as details
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.status import MAX_MESSAGE_BYTES, MAX_STATUS_BYTES, to_status
from gateway.errors import GatewayError, InvalidRequest, NotFound, Reason, Violation

pytestmark = pytest.mark.unit


@given(
    st.sampled_from(Reason),
    st.text(max_size=5000),
    st.lists(st.builds(Violation, st.text(max_size=50), st.text(max_size=2000)), max_size=50),
    st.dictionaries(st.text(max_size=100), st.text(max_size=500), max_size=20),
)
def test_no_error_is_too_large_for_trailing_metadata(
    reason: Reason, text: str, violations: list[Violation], metadata: dict[str, str]
) -> None:
    status = to_status(GatewayError(text, reason=reason, violations=violations, metadata=metadata))
    assert len(status.message.encode()) <= MAX_MESSAGE_BYTES
    assert status.ByteSize() <= MAX_STATUS_BYTES + MAX_MESSAGE_BYTES


def test_every_violation_is_named_at_once() -> None:
    status = to_status(InvalidRequest([Violation("config.rank", "is 0"), Violation("config.alpha", "is -1")]))
    found = details.BadRequest()
    assert any(detail.Unpack(found) for detail in status.details)
    assert [violation.field for violation in found.field_violations] == ["config.rank", "config.alpha"]


def test_there_is_exactly_one_error_info_and_what_is_missing_is_named() -> None:
    status = to_status(NotFound("job", "job-x"))
    infos = [detail for detail in status.details if detail.Is(details.ErrorInfo.DESCRIPTOR)]
    assert len(infos) == 1
    resource = details.ResourceInfo()
    assert any(detail.Unpack(resource) for detail in status.details)
    assert (resource.resource_type, resource.resource_name) == ("job", "job-x")


def test_a_retry_carries_its_delay() -> None:
    status = to_status(GatewayError("slow down", reason=Reason.RATE_LIMITED, retry_after=timedelta(seconds=7)))
    retry = details.RetryInfo()
    assert any(detail.Unpack(retry) for detail in status.details)
    assert retry.retry_delay.seconds == 7
