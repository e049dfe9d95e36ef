"""How long a platform wants to be left alone, in the shapes of several vendors."""

import pytest

from connector_sdk import rate_limit_pause

pytestmark = pytest.mark.unit

DATE = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
EPOCH = 1767225600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:40 GMT", **DATE}, 40),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(EPOCH + 30), **DATE}, 30),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str((EPOCH + 30) * 1000), **DATE}, 30),
        ({"X-RateLimit-Reset": "2026-01-01T01:00:12+01:00", **DATE}, 12),
        ({"x-rate-limit-remaining": "0", "x-rate-limit-reset": "12"}, 12),
        ({"X-RateLimit-Reset": "12"}, 12),
        ({"RateLimit": '"burst";r=3;t=1, "day";r=0;t=50'}, 50),
        ({"RateLimit": "limit=10, remaining=0, reset=9"}, 9),
        ({"RateLimit-Remaining": "0", "RateLimit-Reset": "5", "RateLimit-Policy": "10;w=60"}, 5),
        ({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0.5s"}, 60.5),
        (
            {
                "x-ratelimit-remaining-requests": "10",
                "x-ratelimit-reset-requests": "6m0s",
                "x-ratelimit-remaining-tokens": "0",
                "x-ratelimit-reset-tokens": "20ms",
            },
            0.02,
        ),
        ({"Retry-After": "99999999"}, 86_400),
        ({"X-RateLimit-Reset": "soon"}, None),
        ({}, None),
    ],
)
def test_a_refusal_says_when_to_come_back(headers: dict[str, str], seconds: float | None) -> None:
    assert rate_limit_pause(headers, status=429) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3"}, 3),
        ({"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "3"}, None),
        ({"X-RateLimit-Reset": "3"}, None),
        ({"RateLimit": '"default";r=0;t=4'}, 4),
        ({"RateLimit": '"default";r=9;t=4'}, None),
        ({"Retry-After": "7"}, None),
    ],
)
def test_a_good_answer_asks_for_a_pause_only_once_nothing_remains(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert rate_limit_pause(headers, status=200) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (503, {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "3600"}, None),
        (503, {"X-RateLimit-Reset": "3600"}, None),
        (503, {"Retry-After": "3", "X-RateLimit-Reset": "3600"}, 3),
        (429, {"X-RateLimit-Remaining": "4999", "X-RateLimit-Reset": "3600"}, None),
    ],
)
def test_a_limit_of_which_something_remains_is_no_reason_to_wait(
    status: int, headers: dict[str, str], seconds: float | None
) -> None:
    assert rate_limit_pause(headers, status=status) == seconds
