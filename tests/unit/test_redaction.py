"""Credentials in text, in whatever form programs write them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.redaction import MIN_CHARS, REDACTED, Redactor

pytestmark = pytest.mark.unit

SECRET = 'canary/8d1f2+"é secret?'
SECRETS = st.text(st.characters(exclude_categories=["Cs"]), min_size=6, max_size=30)
PEM = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nAQEFAASCBKcwggSjAgEAAoIB\n-----END KEY-----\n"


@given(SECRETS)
def test_a_value_is_blotted_out_plain_and_in_json_and_in_urls(secret: str) -> None:
    redact = Redactor([secret]).text
    escaped = json.dumps(secret)[1:-1]
    in_json = (escaped, escaped.replace("/", "\\/"), json.dumps(secret, ensure_ascii=False)[1:-1])
    for spelling in (secret, *in_json, quote(secret), quote(secret, safe="")):
        assert redact(f"<{spelling}>") == f"<{REDACTED}>"
    assert redact(f"https://x.test/?key={quote_plus(secret)}&n=1") == f"https://x.test/?key={REDACTED}&n=1"


@given(st.binary(max_size=20), st.binary(max_size=20), st.booleans())
def test_a_value_is_not_to_be_had_from_base64_wherever_it_is_in_it(before: bytes, after: bytes, for_urls: bool) -> None:
    encode = base64.urlsafe_b64encode if for_urls else base64.b64encode
    text = encode(before + SECRET.encode() + after).decode()
    (shown,) = Redactor([SECRET])([f"Authorization: Basic {text}"])
    assert REDACTED in shown
    # What is left at either end holds at most a character or two of the value.
    assert len(shown.replace(REDACTED, "")) <= len(text) - len(SECRET.encode()) + 21


@given(st.integers(0, len(SECRET)))
def test_a_value_that_was_cut_in_two_shows_no_more_than_a_few_characters_of_either_part(place: int) -> None:
    first, second = Redactor([SECRET])([f"token {SECRET[:place]}", f"{SECRET[place:]} ok"])
    assert first in (f"token {REDACTED}", f"token {SECRET[:place]}" if place < MIN_CHARS else "")
    left = len(SECRET) - place
    assert second in (f"{REDACTED} ok", f"{SECRET[place:]} ok" if left < MIN_CHARS else "")


def test_each_line_of_a_value_of_several_lines_is_blotted_out() -> None:
    shown = Redactor([PEM])(PEM.splitlines())
    assert set(shown) == {REDACTED}


def test_old_values_count_as_well_and_a_value_within_another_is_no_obstacle() -> None:
    redact = Redactor(["first-key"])
    redact.learn(["first-key-longer", "short"])
    assert redact(["first-key-longer first-key short"]) == [f"{REDACTED} {REDACTED} short"]


@given(st.lists(st.text(alphabet="abcdef \n"), max_size=5))
def test_lines_without_a_value_stay_as_they_are(texts: list[str]) -> None:
    assert list(Redactor([SECRET, "hunter2-hunter2"])(texts)) == texts
