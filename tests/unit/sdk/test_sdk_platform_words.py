"""What the SDK reads out of platforms' headers and pages."""

from __future__ import annotations

import pytest

from connector_sdk import retry_after
from connector_sdk._readable import readable

pytestmark = pytest.mark.unit

NOON = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": " 1.5 "}, 1.5),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-3"}, None),
        ({"Retry-After": "٣"}, None),
        ({"Retry-After": "Thu, 26 Nov 2026 12:00:30 GMT", "Date": NOON}, 30.0),
        ({"Retry-After": "Thu, 26 Nov 2026 11:00:00 GMT", "Date": NOON}, 0.0),
        ({"Retry-After": "Thu, 26 Nov 2026 12:00:30 -0000", "Date": NOON}, 30.0),
        ({"Retry-After": "Thu, 26 Nov 1970 12:00:30 GMT"}, 0.0),
    ],
)
def test_a_wish_to_be_left_alone_is_read_by_the_platforms_clock(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("quota < 3", "quota < 3"),
        ("a <b> tag", "a <b> tag"),
        ("<!DOCTYPE html><html><title>502 Bad\n Gateway</title>" + "x" * 9000, "(a page of HTML: 502 Bad Gateway)"),
        ("Failed: <HTML><body><h1 class='x'>Down &amp; out</h1>", "Failed: (a page of HTML: Down & out)"),
        ("<html><body>nothing", "(a page of HTML)"),
    ],
)
def test_a_page_for_browsers_becomes_its_title(text: str, shown: str) -> None:
    assert readable(text) == shown
