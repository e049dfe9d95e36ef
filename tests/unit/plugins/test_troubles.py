from __future__ import annotations

import pytest

from gateway.errors import Reason, RemoteError
from gateway.plugins.troubles import FORGET_AFTER, Troubles
from tests.support.clocks import FakeClock

pytestmark = pytest.mark.unit


def error(reason: Reason) -> RemoteError:
    return RemoteError("it said so", reason=reason)


def watched() -> tuple[Troubles, list[str], FakeClock]:
    told: list[str] = []
    clock = FakeClock()
    return Troubles(told.append, clock.monotonic), told, clock


def test_each_part_is_told_by_itself_and_only_when_it_changes() -> None:
    troubles, told, _ = watched()
    troubles.failed("c1", "SubmitJob", error(Reason.QUOTA))
    troubles.failed("c1", "SubmitJob", error(Reason.QUOTA))
    troubles.failed("c1", "GetJobStatus", error(Reason.CREDENTIALS_REJECTED))
    assert told == [
        "quota: QUOTA: it said so (connection c1)",
        "credentials: CREDENTIALS_REJECTED: it said so (connection c1); quota: QUOTA: it said so (connection c1)",
    ]


def test_a_success_ends_what_it_disproves() -> None:
    troubles, told, _ = watched()
    troubles.failed("c1", "SubmitJob", error(Reason.QUOTA))
    troubles.failed("c1", "GetJobStatus", error(Reason.PLATFORM_UNAVAILABLE))
    troubles.succeeded("c2", "GetJobStatus")
    assert "platform" in troubles.words()
    troubles.succeeded("c1", "GetJobStatus")
    assert told[-1] == "quota: QUOTA: it said so (connection c1)"
    troubles.succeeded("c1", "SubmitJob")
    assert told[-1] == ""


@pytest.mark.parametrize("reason", [Reason.NOT_FOUND, Reason.INVALID_CONFIG, Reason.CONNECTOR_BUG])
def test_what_is_no_trouble_of_the_platform_is_not_told(reason: Reason) -> None:
    troubles, told, _ = watched()
    troubles.failed("c1", "GetJobStatus", error(reason))
    assert told == []


def test_trouble_that_nobody_meets_any_more_is_forgotten() -> None:
    troubles, told, clock = watched()
    troubles.failed("c1", "SubmitJob", error(Reason.QUOTA))
    clock.advance(FORGET_AFTER.total_seconds())
    troubles.expire()
    assert told[-1] == ""
